import type { RequestListener, Server, ServerOptions } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { ListenerTls } from "../config/certificates.ts";
import { createUnidentifiedConnections } from "../core/limits/unidentified-connections.ts";

// An import of `node:http` reads all its exports, and one of them loads Node's client (undici): 11 MB that an instance does not use.
const { createServer } = process.getBuiltinModule("node:http");

/** Timeouts for what a client sends. */
export interface HttpTimeouts {
  /** From the first byte of a request to its last header. */
  readonly headersMs: number;
  /** From the first byte of a request to the last byte of its body. */
  readonly requestMs: number;
  /** Between two requests on a connection. Longer than the idle timeout of most proxies that reuse connections. */
  readonly idleMs: number;
  readonly handshakeMs: number;
}

export const DEFAULT_TIMEOUTS: HttpTimeouts = {
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 75_000,
  handshakeMs: 3000,
};

/** Maximum size of all headers of a request; a key has at most 8 KiB. A larger request gets 431. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Maximum connections of one listener. Further connections are closed at once. */
const MAX_CONNECTIONS = 8192;
/** Maximum connections that have not sent a request yet, including those in the TLS handshake. */
const MAX_UNIDENTIFIED = MAX_CONNECTIONS / 4;
/** Maximum pipelined requests per connection (RFC 9112 §9.3.2). One more closes the connection. */
const MAX_PIPELINED = 16;

export interface NodeServerOptions {
  /** Clear text if absent. */
  readonly tls?: ListenerTls;
  readonly timeouts?: HttpTimeouts;
  /** 16 KiB by default. */
  readonly maxHeaderBytes?: number;
  /** Whether the request handler responds instead of `100 Continue`, because it needs no body. */
  readonly ignoresExpect?: boolean;
  /** Whether each response closes its connection, because the listener is about to close. */
  readonly isDraining?: () => boolean;
}

/** Creates the Node server of a listener. It bounds the resources of each client and follows certificate changes. */
export function createNodeServer(
  handle: RequestListener,
  {
    tls,
    timeouts = DEFAULT_TIMEOUTS,
    maxHeaderBytes = MAX_HEADER_BYTES,
    ignoresExpect = false,
    isDraining = () => false,
  }: NodeServerOptions,
): Server {
  const pipelined = new WeakMap<Socket, number>();
  const unidentified = createUnidentifiedConnections<Socket>(MAX_UNIDENTIFIED, (socket) => socket.destroy());
  const onRequest: RequestListener = (request, response) => {
    const { socket } = request;
    unidentified.remove(nameOf(socket));
    const open = (pipelined.get(socket) ?? 0) + 1;
    if (open > MAX_PIPELINED) return void socket.destroy();
    pipelined.set(socket, open);
    response.once("close", () => pipelined.set(socket, (pipelined.get(socket) ?? 1) - 1));
    if (isDraining()) response.setHeader("connection", "close");
    handle(request, response);
  };
  const options: ServerOptions = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: timeouts.headersMs,
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: timeouts.idleMs,
    // How often Node checks the timeouts.
    connectionsCheckingInterval: Math.min(1000, timeouts.headersMs),
  };
  const server =
    tls === undefined ? createServer(options, onRequest) : listenWithTls(options, onRequest, tls, timeouts);
  if (ignoresExpect) server.on("checkContinue", onRequest).on("checkExpectation", onRequest);
  server.maxConnections = MAX_CONNECTIONS;
  // Node would drop headers beyond the 2000th, and a second credential with them. Their bytes are limited.
  server.maxHeadersCount = 0;
  server.on("connection", (socket: Socket) => {
    const name = nameOf(socket);
    unidentified.add(name, socket, socket.remoteAddress ?? "");
    socket.once("close", () => unidentified.remove(name));
  });
  // Closes a connection whose client neither reads its response nor sends anything. The client of a call that takes long, such as an
  // import, has nothing to send or read. `requestTimeout` ends a request whose body does not arrive.
  server.timeout = timeouts.requestMs;
  server.on("timeout", (socket) => {
    if ((pipelined.get(socket) ?? 0) > 0 && socket.writableLength === 0)
      socket.setTimeout(timeouts.requestMs);
    else socket.destroy();
  });
  return server;
}

/** Identifies a connection both below and above TLS, which have different socket objects. */
function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function listenWithTls(
  options: ServerOptions,
  onRequest: RequestListener,
  tls: ListenerTls,
  { handshakeMs: handshakeTimeout }: HttpTimeouts,
): Server {
  const context = () => {
    const { cert, key, clientCa } = tls.current();
    return { cert, key, ...(clientCa !== undefined && { ca: clientCa }) };
  };
  const mutual = tls.current().clientCa !== undefined;
  const server = createTlsServer(
    { ...options, ...context(), handshakeTimeout, requestCert: mutual, rejectUnauthorized: mutual },
    onRequest,
  );
  server.on(
    "close",
    tls.onChange(() => server.setSecureContext(context())),
  );
  return server;
}
