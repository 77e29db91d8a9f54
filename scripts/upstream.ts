import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { createServer } from "node:http";

/** A request as the service behind Envoy received it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  /** Every header line, in the received order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface Upstream {
  readonly port: number;
  readonly requests: SeenRequest[];
  stop(): Promise<void>;
}

/**
 * Starts a service that responds to each request with the received request as JSON. If the query has a `location`, it
 * redirects to it. It accepts every upgrade, and then ends the connection. Port 0 selects a free port.
 */
export async function startUpstream(port = 0): Promise<Upstream> {
  const requests: SeenRequest[] = [];
  // Envoy ends idle connections. If this service did, a request that Envoy has just sent would get 503.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    const seen = seenOf(request);
    requests.push(seen);
    request.resume();
    const location = new URL(seen.url, "http://upstream").searchParams.get("location");
    if (location !== null) response.writeHead(302, { location }).end();
    else response.setHeader("content-type", "application/json").end(readable(seen));
  });
  server.on("upgrade", (request, socket) => {
    requests.push(seenOf(request));
    socket.end("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    requests,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}

function seenOf(request: IncomingMessage): SeenRequest {
  const headers: [string, string][] = [];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    headers.push([request.rawHeaders[index] ?? "", request.rawHeaders[index + 1] ?? ""]);
  }
  return { method: request.method ?? "", url: request.url ?? "", headers };
}

/** JSON with one header per line, which is readable in a terminal. */
function readable(seen: SeenRequest): string {
  const { headers, ...rest } = seen;
  const lines = headers.map((header) => `  ${JSON.stringify(header)}`).join(",\n");
  return `${JSON.stringify(rest).slice(0, -1)},"headers":[\n${lines}\n]}\n`;
}
