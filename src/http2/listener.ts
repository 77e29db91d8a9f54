import type { Server, Socket } from "node:net";
import { createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";

/** The certificate of a listener. It may change while the listener is open. */
export interface TlsSource {
  /** PEM texts. With `clientCa`, clients must present a certificate that this CA issued. Whether it is set never changes. */
  readonly current: () => { readonly cert: string; readonly key: string; readonly clientCa?: string };
  /** Calls `changed` after each change. Returns a function that ends the subscription. */
  readonly onChange: (changed: () => void) => () => void;
}

export interface ListenerOptions {
  /** `host:port` (port 0 takes a free one), or `unix:/path`. */
  readonly listen: string;
  readonly tls?: TlsSource;
  readonly maxConnections: number;
  /** Called with a connection that has just been accepted. */
  readonly onAccept: (socket: Socket) => void;
  /** Called with a connection that can carry HTTP/2: after the handshake, if the listener has TLS. */
  readonly onConnection: (socket: Socket) => void;
  readonly onFault: (error: unknown) => void;
}

export interface Listener {
  readonly server: Server;
  /** 0 on a Unix socket. */
  readonly port: number;
}

const TLS_HANDSHAKE_TIMEOUT_MS = 3000;

/** Rejects if the address is not available. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { tls, onConnection } = options;
  const server =
    tls === undefined ? createServer({ noDelay: true }, onConnection) : openTlsServer(tls, onConnection);
  server.maxConnections = options.maxConnections;
  server.on("connection", options.onAccept);
  const port = await listenOn(server, options.listen);
  server.on("error", options.onFault);
  return { server, port };
}

function openTlsServer(tls: TlsSource, onConnection: (socket: Socket) => void): Server {
  const { cert, key, clientCa } = tls.current();
  const isMutual = clientCa !== undefined;
  const server = createTlsServer(
    {
      ALPNProtocols: ["h2"],
      handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS,
      minVersion: "TLSv1.2",
      noDelay: true,
      cert,
      key,
      ...(isMutual && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    },
    (socket) => {
      // A client that does not negotiate "h2" may speak another protocol (RFC 9113 §3.2).
      if (socket.alpnProtocol === "h2") onConnection(socket);
      else socket.destroy();
    },
  );
  const unsubscribe = tls.onChange(() => {
    const next = tls.current();
    server.setSecureContext({
      minVersion: "TLSv1.2",
      cert: next.cert,
      key: next.key,
      ...(isMutual && { ca: next.clientCa }),
    });
  });
  // Node reports a handshake that fails or times out, but does not close its socket.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("close", unsubscribe);
  return server;
}

function listenOn(server: Server, listen: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // Exclusive: each worker has its own listener. A shared one would give Envoy's single connection to one worker.
    server.listen({ ...listenOptions(listen), exclusive: true }, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

function listenOptions(
  listen: string,
): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (listen.startsWith("unix:")) return { path: listen.slice("unix:".length) };
  const colon = listen.lastIndexOf(":");
  return { host: listen.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(listen.slice(colon + 1)) };
}
