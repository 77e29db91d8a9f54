import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { createServer } from "node:http";
import type { Duplex } from "node:stream";

/**
 * The service behind Envoy: it accepts whatever Envoy forwards, and records requests without one of the valid
 * keys.
 */
export interface GuardedUpstream {
  readonly port: number;
  /** Requests with a valid key. */
  served(): number;
  /** Requests without one since the last call. */
  takeBreaches(): string[];
  stop(): Promise<void>;
}

const MAX_HEAD_BYTES = 16 * 1024 * 1024;
const KEY_ID = "x-latchkey-key-id";

/** Latchkey names a request's key; a client's own header of that name must have been removed. */
export async function startGuardedUpstream(isValid: (keyId: string) => boolean): Promise<GuardedUpstream> {
  let served = 0;
  let breaches: string[] = [];
  const server = createServer({
    insecureHTTPParser: true,
    requireHostHeader: false,
    maxHeaderSize: MAX_HEAD_BYTES,
    keepAliveTimeout: 0,
    requestTimeout: 0,
    headersTimeout: 0,
  });
  server.maxHeadersCount = 0;
  /** The key id, or undefined for a request that must not arrive. */
  const judge = ({ method, url, rawHeaders }: IncomingMessage): string | undefined => {
    const ids = rawHeaders.filter(
      (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === KEY_ID,
    );
    const [id] = ids;
    if (ids.length === 1 && id !== undefined && isValid(id)) {
      served++;
      return id;
    }
    breaches.push(`${method} ${url?.slice(0, 100)} reached upstream with the key ids ${JSON.stringify(ids)}`);
    return undefined;
  };
  server.on("request", (request, response) => {
    const id = judge(request);
    request.on("error", () => undefined).resume();
    response.on("error", () => undefined);
    response.writeHead(id === undefined ? 500 : 200, { "x-seen-key-id": id ?? "none" }).end("{}");
  });
  const switchOver = (request: IncomingMessage, socket: Duplex) => {
    judge(request);
    socket
      .on("error", () => undefined)
      .end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  };
  server.on("connect", switchOver).on("upgrade", switchOver);
  server.on("clientError", (error: Error & { rawPacket?: Buffer }, socket: Duplex) => {
    const head = error.rawPacket?.toString("latin1") ?? "";
    // An incomplete body has no head here: its request has been judged.
    const id = /\r\nx-latchkey-key-id: *([^\r]*)\r\n/i.exec(head)?.[1];
    if (/^[A-Z-]+ .* HTTP\/1\.[01]\r\n/.test(head) && !(id !== undefined && isValid(id)))
      breaches.push(`unreadable, and without a valid key: ${JSON.stringify(head.slice(0, 200))}`);
    socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    served: () => served,
    takeBreaches() {
      const taken = breaches;
      breaches = [];
      return taken;
    },
    async stop() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}
