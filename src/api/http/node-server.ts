import type { RequestListener, ServerOptions } from "node:http";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { ListenerTls } from "../../config/certificates.ts";
import { createUnidentifiedConnections } from "../../core/limits/unidentified-connections.ts";

/** How long a client may take over each part of what it sends. */
export interface HttpTimeouts {
  /** Until the last header has come, from the first byte. */
  readonly headersMs: number;
  /** Until the last byte of the body has come. */
  readonly requestMs: number;
  /** Between two requests on one connection; longer than the idle timeout of most proxies that would reuse it. */
  readonly idleMs: number;
  readonly handshakeMs: number;
}

export const DEFAULT_TIMEOUTS: HttpTimeouts = {
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 75_000,
  handshakeMs: 3000,
};

/** All headers of a request; a key has at most 8 KiB. More is answered with 431. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Connections of one door; a further one is closed at once. */
const MAX_CONNECTIONS = 8192;
/** Of them, those from which no request has come yet, behind their handshake where there is TLS. */
const MAX_NEWCOMERS = MAX_CONNECTIONS / 4;
/** Requests of one connection whose responses it has not taken yet (RFC 9112 §9.3.2); one more ends it. */
const MAX_PIPELINED = 16;

export interface NodeServerOptions {
  /** Absent: clear text. */
  readonly tls?: ListenerTls;
  readonly timeouts?: HttpTimeouts;
  /** Whether each answer is the last on its connection, since the door is about to close. */
  readonly isDraining?: () => boolean;
}

/** The server below a door, which bounds what a client can hold of it, and whose certificate may change. */
export function createNodeServer(
  handle: RequestListener,
  { tls, timeouts = DEFAULT_TIMEOUTS, isDraining = () => false }: NodeServerOptions,
): Server {
  const pipelined = new WeakMap<Socket, number>();
  const newcomers = createUnidentifiedConnections<Socket>(MAX_NEWCOMERS, (socket) => socket.destroy());
  const answer: RequestListener = (request, response) => {
    const { socket } = request;
    newcomers.remove(nameOf(socket));
    const open = (pipelined.get(socket) ?? 0) + 1;
    if (open > MAX_PIPELINED) return void socket.destroy();
    pipelined.set(socket, open);
    response.once("close", () => pipelined.set(socket, (pipelined.get(socket) ?? 1) - 1));
    if (isDraining()) response.setHeader("connection", "close");
    handle(request, response);
  };
  const options: ServerOptions = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: timeouts.headersMs,
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: timeouts.idleMs,
    // How often Node looks for those who are too slow.
    connectionsCheckingInterval: Math.min(1000, timeouts.headersMs),
  };
  const server =
    tls === undefined ? createServer(options, answer) : listenWithTls(options, answer, tls, timeouts);
  server.maxConnections = MAX_CONNECTIONS;
  server.on("connection", (socket: Socket) => {
    const name = nameOf(socket);
    newcomers.add(name, socket, socket.remoteAddress ?? "");
    socket.once("close", () => newcomers.remove(name));
  });
  // A client that takes nothing of its response, and sends nothing, holds it no longer than it may take to send a request.
  server.timeout = timeouts.requestMs;
  return server;
}

/** What a connection is known by below TLS and above it. */
function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function listenWithTls(
  options: ServerOptions,
  answer: RequestListener,
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
    answer,
  );
  server.on(
    "close",
    tls.onChange(() => server.setSecureContext(context())),
  );
  return server;
}
