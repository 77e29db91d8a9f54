import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { createServer } from "node:http";

/** What the service behind Envoy saw of one request. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  /** Every line as it came, in its order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface Upstream {
  readonly port: number;
  readonly requests: SeenRequest[];
  stop(): Promise<void>;
}

/**
 * A service that answers each request with what it saw of it, as JSON; where the query has a `location`, it redirects
 * there. Port 0 takes a free one.
 */
export async function startUpstream(port = 0): Promise<Upstream> {
  const requests: SeenRequest[] = [];
  const server = createServer((request, response) => {
    const seen = seenOf(request);
    requests.push(seen);
    request.resume();
    const location = new URL(seen.url, "http://upstream").searchParams.get("location");
    if (location !== null) response.writeHead(302, { location }).end();
    else response.setHeader("content-type", "application/json").end(readable(seen));
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

/** JSON with one header on each line, for people who look at it in a terminal. */
function readable(seen: SeenRequest): string {
  const { headers, ...rest } = seen;
  const lines = headers.map((header) => `  ${JSON.stringify(header)}`).join(",\n");
  return `${JSON.stringify(rest).slice(0, -1)},"headers":[\n${lines}\n]}\n`;
}
