import type { Http2SecureServer, Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { createSecureServer, createServer } from "node:http2";
import type { DoorTls } from "../core/ports.ts";
import { createOpenCalls } from "./open-calls.ts";
import { REFLECTION_PATHS, reflectBytes } from "./reflection.ts";
import { createMethods } from "./rpc-methods.ts";
import { createReceiver } from "./rpc-receive.ts";
import { readCall } from "./rpc-request.ts";
import type { RpcRefusal } from "./rpc-status.ts";
import { RPC_STATUS } from "./rpc-status.ts";
import { refuse } from "./rpc-stream.ts";
import { talk } from "./rpc-talk.ts";
import { createSessions } from "./sessions.ts";
import type { Transport, TransportOptions } from "./transport.ts";
import { MAX_CONCURRENT_CALLS } from "./transport.ts";

/** A call that has not come whole, or is not over, after this is cut off; sooner where it says so itself. */
const MAX_CALL_MS = 10_000;

const SERVER_OPTIONS = {
  settings: { maxConcurrentStreams: MAX_CONCURRENT_CALLS, maxHeaderListSize: 16 * 1024, enablePush: false },
  maxHeaderListPairs: 64,
  /** Envoy resets a Check whose client has gone: many may go at once, but not thousands a second (CVE-2023-44487). */
  streamResetBurst: 2000,
  streamResetRate: 500,
  noDelay: true,
} as const;
/** Connections at a time: Envoy needs one for each of its workers. */
const MAX_CONNECTIONS = 1024;
const TLS_HANDSHAKE_WITHIN_MS = 10_000;

const UNKNOWN_METHOD: RpcRefusal = { status: RPC_STATUS.UNIMPLEMENTED, message: "unknown method" };

/**
 * gRPC on Node's own HTTP/2, as much as Check, health and reflection need of it. It is strict where a caller could be
 * understood in two ways, and gives every connection, call and message its bound.
 */
export async function startHttp2Transport(options: TransportOptions): Promise<Transport> {
  const nowMs = () => performance.now();
  const calls = createOpenCalls(nowMs);
  const sessions = createSessions();
  const methods = createMethods({ ...options, nowMs, keep: calls.keep });
  const receive = createReceiver();
  const server = createHttp2Server(options.tls);
  server.maxConnections = MAX_CONNECTIONS;
  server.on("session", sessions.add);
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    // A stream that breaks is its caller's loss: the answer finds nobody.
    stream.on("error", ignore);
    const startMs = nowMs();
    const timeLeftMs = readCall(headers);
    if (typeof timeLeftMs !== "number") {
      calls.add(stream, startMs + MAX_CALL_MS);
      return refuse(stream, timeLeftMs);
    }
    calls.add(stream, startMs + Math.min(timeLeftMs, MAX_CALL_MS));
    const path = headers[":path"] ?? "";
    const method = methods.get(path);
    if (method !== undefined)
      return receive(stream, (received) => method(received, stream, startMs + timeLeftMs));
    if (REFLECTION_PATHS.some((known) => known === path)) return talk(stream, reflectBytes);
    refuse(stream, UNKNOWN_METHOD);
  });
  const port = await listening(server, options.listen);
  return {
    port,
    async close(graceMs) {
      const late = setTimeout(sessions.destroy, graceMs);
      await sessions.announceEnd(calls.sessions());
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      sessions.end();
      await closed;
      clearTimeout(late);
      calls.close();
    },
  };
}

function ignore(): void {}

function createHttp2Server(tls: DoorTls | undefined): Http2Server | Http2SecureServer {
  if (tls === undefined) return createServer(SERVER_OPTIONS);
  const { cert, key, clientCa } = tls.current();
  const asked = clientCa !== undefined;
  const server = createSecureServer({
    ...SERVER_OPTIONS,
    handshakeTimeout: TLS_HANDSHAKE_WITHIN_MS,
    minVersion: "TLSv1.2",
    cert,
    key,
    ...(asked && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  });
  const stop = tls.onChange(() => {
    const next = tls.current();
    server.setSecureContext({
      minVersion: "TLSv1.2",
      cert: next.cert,
      key: next.key,
      ...(asked && { ca: next.clientCa }),
    });
  });
  server.on("close", stop);
  return server;
}

function listening(server: Http2Server | Http2SecureServer, listen: string): Promise<number> {
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
