import { createAcceptedSockets } from "./accepted-sockets.ts";
import type { ConnectionDeps } from "./connection-state.ts";
import { createConnections } from "./connections.ts";
import type { TlsSource } from "./listener.ts";
import { openListener } from "./listener.ts";
import { createSingleFields } from "./request-head.ts";

// The public interface of this module: other modules import no other file of it.
export type { WholeBody } from "./body-buffer.ts";
export { bufferBody, countBuffered } from "./body-buffer.ts";
export type { Connection, Stream } from "./connection-state.ts";
export { replenishWindow } from "./flow-control.ts";
export { ERROR_CODE } from "./frames.ts";
export { encodeHeaderBlock } from "./header-encoder.ts";
export type { RequestHead } from "./request-head.ts";
export { abortConnection, sendReset, unsentBytes } from "./stream.ts";
export { hasPendingData, sendData, sendHead, sendTrailers, sendUnary } from "./stream-writer.ts";

export interface Http2ServerOptions extends Omit<ConnectionDeps, "singleFields" | "onEstablished"> {
  /** `host:port` (port 0 takes a free one), or `unix:/path`. */
  readonly listen: string;
  /** Absent: the listener accepts HTTP/2 in clear text (RFC 9113 §3.3). */
  readonly tls?: TlsSource;
  /** Fields that may occur once in a request, and whose values appear in `RequestHead.fields`. At most 20. */
  readonly singleFields: readonly string[];
}

export interface Http2Server {
  /** The port of the listener; 0 on a Unix socket. */
  readonly port: number;
  /** Opens the listener again at the same address; open connections continue. Rejects if the address is not available. */
  listenAgain(): Promise<void>;
  /**
   * Accepts no new streams, and resolves when all connections are closed.
   * @param graceMs after this time, connections that are still open are destroyed
   */
  close(graceMs: number): Promise<void>;
}

/** Envoy needs one connection for each of its workers. */
const MAX_CONNECTIONS = 1024;

/** Serves HTTP/2 (RFC 9113). Every connection, stream and buffer has a limit. Rejects if it cannot listen. */
export async function startHttp2Server(options: Http2ServerOptions): Promise<Http2Server> {
  const sockets = createAcceptedSockets(MAX_CONNECTIONS, () => connections.evictOne());
  const connections = createConnections({
    ...options,
    singleFields: createSingleFields(options.singleFields),
    onEstablished: sockets.onEstablished,
  });
  const { onFault } = options;
  const open = () =>
    openListener({
      ...options,
      maxConnections: MAX_CONNECTIONS,
      onAccept: sockets.add,
      onConnection: connections.add,
      onFault,
    });
  let listener = await open();
  return {
    port: listener.port,
    async listenAgain() {
      listener.server.close();
      listener = await open();
    },
    async close(graceMs) {
      const timer = setTimeout(sockets.destroyAll, graceMs);
      // Closes the listener first, so that clients which receive GOAWAY do not connect here again.
      const closed = new Promise<void>((resolve) => listener.server.close(() => resolve()));
      await connections.announceShutdown();
      connections.drain();
      await closed;
      // Connections of an earlier listener, which `listenAgain` has replaced.
      await sockets.allClosed();
      clearTimeout(timer);
      connections.close();
    },
  };
}
