import { once } from "node:events";
import type { Server, Socket } from "node:net";
import { createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { ListenerTls } from "../config/certificates.ts";
import { createUnidentifiedConnections } from "../core/limits/unidentified-connections.ts";
import { createConnections } from "../http2/connections.ts";
import type { RequestHead } from "../http2/request-head.ts";
import type { Stream } from "../http2/stream.ts";
import { readCall } from "./call-headers.ts";
import type { Methods } from "./methods.ts";
import { createMethods } from "./methods.ts";
import { CHECK_PATH } from "./proto.ts";
import { rejectCall } from "./responses.ts";
import type { RpcRejection } from "./status.ts";
import { RPC_STATUS } from "./status.ts";
import type { Transport, TransportOptions } from "./transport.ts";
import { DEFAULT_MAX_HEADER_BYTES, MAX_CONCURRENT_CALLS } from "./transport.ts";

/** A call that has not come whole, or is not over, after this is cut off; sooner where it says so itself. */
const MAX_CALL_MS = 10_000;
/** Connections at a time: Envoy needs one for each of its workers. */
const MAX_CONNECTIONS = 1024;
/** Of them, those that have not said anything of HTTP/2 yet, behind their handshake where there is TLS. */
const MAX_NEWCOMERS = MAX_CONNECTIONS / 4;
const TLS_HANDSHAKE_WITHIN_MS = 3000;

const BAD_HEAD: RpcRejection = { status: RPC_STATUS.INTERNAL, message: "the metadata cannot be read" };
const UNKNOWN_METHOD: RpcRejection = { status: RPC_STATUS.UNIMPLEMENTED, message: "unknown method" };

/**
 * gRPC on an HTTP/2 of our own, as much as Check, health and reflection need of it. It is strict where a caller could be
 * understood in two ways, and gives every connection, call and message its bound.
 */
export async function startHttp2Transport(options: TransportOptions): Promise<Transport> {
  const nowMs = () => performance.now();
  const { faulted = () => undefined } = options;
  const newcomers = createUnidentifiedConnections<Socket>(MAX_NEWCOMERS, (socket) => socket.destroy());
  const connections = createConnections({
    nowMs,
    onRequest: caller(createMethods({ ...options, nowMs, faulted }), nowMs),
    answersFault: isCheck,
    greeted: (socket) => newcomers.remove(nameOf(socket)),
    onFault: faulted,
    maxStreams: MAX_CONCURRENT_CALLS,
    maxHeaderBytes: options.maxHeaderBytes ?? DEFAULT_MAX_HEADER_BYTES,
  });
  const sockets = new Set<Socket>();
  // Those that are still shaking hands for TLS as well.
  const connected = (socket: Socket) => {
    const name = nameOf(socket);
    sockets.add(socket);
    newcomers.add(name, socket, socket.remoteAddress ?? "");
    socket.on("close", () => {
      sockets.delete(socket);
      newcomers.remove(name);
    });
    // One place is kept free for a caller that has calls to make.
    if (sockets.size >= MAX_CONNECTIONS) connections.makeWay();
  };
  const open = () => openListener(options, { connected, established: connections.add, faulted });
  let listener = await open();
  return {
    port: listener.port,
    async listenAgain() {
      listener.server.close();
      listener = await open();
    },
    async close(graceMs) {
      const late = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      // Who goes elsewhere at the word of it must not come back here.
      const closed = new Promise<void>((resolve) => listener.server.close(() => resolve()));
      await connections.announceEnd();
      connections.end();
      await closed;
      // Those that came by a socket that is not listened on any more.
      await Promise.all([...sockets].map((socket) => socket.closed || once(socket, "close")));
      clearTimeout(late);
      connections.close();
    },
  };
}

interface ListenerPorts {
  /** Has a connection that has just been accepted. */
  readonly connected: (socket: Socket) => void;
  /** Has it once TLS stands, where there is TLS. */
  readonly established: (socket: Socket) => void;
  readonly faulted: (error: unknown) => void;
}

async function openListener(
  { tls, listen }: TransportOptions,
  { connected, established, faulted }: ListenerPorts,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = openServer(tls, established);
  server.maxConnections = MAX_CONNECTIONS;
  server.on("connection", connected);
  const port = await listening(server, listen);
  server.on("error", faulted);
  return { server, port };
}

/** What a connection is known by below TLS and above it; on a Unix socket there is no such thing as a port. */
function nameOf(socket: Socket): unknown {
  return socket.remotePort === undefined ? socket : `${socket.remoteAddress} ${socket.remotePort}`;
}

/** A Check is answered by a CheckResponse even if nothing but this can be read of it: Envoy may let an error through. */
function isCheck({ method, path }: RequestHead): boolean {
  return path === CHECK_PATH && method === "POST";
}

/** Begins each call that comes. */
function caller({ byPath, denyCheck }: Methods, nowMs: () => number) {
  return (stream: Stream, head: RequestHead): void => {
    const timeLeftMs = head.fault === undefined ? readCall(head) : BAD_HEAD;
    const startMs = nowMs();
    stream.connection.lastCallMs = startMs;
    stream.deadlineMs = startMs + MAX_CALL_MS;
    if (typeof timeLeftMs !== "number") {
      if (isCheck(head)) denyCheck(stream);
      else rejectCall(stream, timeLeftMs);
      return;
    }
    stream.deadlineMs = startMs + Math.min(timeLeftMs, MAX_CALL_MS);
    const begin = byPath.get(head.path);
    if (begin === undefined) rejectCall(stream, UNKNOWN_METHOD);
    else begin(stream);
  };
}

function openServer(tls: ListenerTls | undefined, connected: (socket: Socket) => void): Server {
  if (tls === undefined) return createServer({ noDelay: true }, connected);
  const { cert, key, clientCa } = tls.current();
  const asked = clientCa !== undefined;
  const server = createTlsServer(
    {
      ALPNProtocols: ["h2"],
      handshakeTimeout: TLS_HANDSHAKE_WITHIN_MS,
      minVersion: "TLSv1.2",
      noDelay: true,
      cert,
      key,
      ...(asked && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    },
    (socket) => {
      // Who does not say that it speaks HTTP/2 may mean anything (RFC 9113 §3.2).
      if (socket.alpnProtocol === "h2") connected(socket);
      else socket.destroy();
    },
  );
  const stop = tls.onChange(() => {
    const next = tls.current();
    server.setSecureContext({
      minVersion: "TLSv1.2",
      cert: next.cert,
      key: next.key,
      ...(asked && { ca: next.clientCa }),
    });
  });
  // Node only tells of a handshake that fails, or takes too long.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("close", stop);
  return server;
}

function listening(server: Server, listen: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // Where there are workers, each has its own: Envoy opens one connection, and all of it would be one worker's.
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
