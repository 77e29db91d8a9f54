import type { Http2ServerOptions, RequestHead, Stream } from "../http2/server.ts";
import { startHttp2Server } from "../http2/server.ts";
import { parseCall, SINGLE_FIELDS } from "./call-headers.ts";
import type { Methods } from "./methods.ts";
import { createMethods } from "./methods.ts";
import { rejectCall } from "./responses.ts";
import type { RpcRejection } from "./status.ts";
import { RPC_STATUS } from "./status.ts";
import type { Transport, TransportOptions } from "./transport.ts";
import { DEFAULT_MAX_HEADER_BYTES, MAX_CONCURRENT_CALLS } from "./transport.ts";

/** A call that is not over after this time is reset; earlier if its grpc-timeout says so. */
const MAX_CALL_MS = 10_000;

const INVALID_METADATA: RpcRejection = {
  status: RPC_STATUS.INTERNAL,
  message: "the metadata cannot be read",
};
const UNKNOWN_METHOD: RpcRejection = { status: RPC_STATUS.UNIMPLEMENTED, message: "unknown method" };

/**
 * gRPC on our own HTTP/2 server: as much of it as unary methods, health and reflection need. It is strict where a request has
 * two readings. Every connection, call and message has a limit.
 */
export function startHttp2Transport(options: TransportOptions): Promise<Transport> {
  const { listen, tls } = options;
  const nowMs = () => performance.now();
  return startHttp2Server({ listen, ...(tls !== undefined && { tls }), ...callOptions(options, nowMs) });
}

/** How the HTTP/2 server handles gRPC calls. */
export function callOptions(
  options: Omit<TransportOptions, "listen" | "tls">,
  nowMs: () => number,
): Omit<Http2ServerOptions, "listen" | "tls"> {
  const methods = createMethods(options, nowMs);
  return {
    nowMs,
    onRequest: callStarter(methods),
    handlesInvalid: (head) => invalidCallHandler(methods, head) !== undefined,
    maxStreams: MAX_CONCURRENT_CALLS,
    maxHeaderBytes: options.maxHeaderBytes ?? DEFAULT_MAX_HEADER_BYTES,
    maxRequestMs: MAX_CALL_MS,
    singleFields: SINGLE_FIELDS,
    ...(options.onOpened !== undefined && { onOpened: options.onOpened }),
    onFault: options.onFault ?? (() => undefined),
  };
}

function invalidCallHandler({ onInvalid }: Methods, { method, path }: RequestHead) {
  return method === "POST" ? onInvalid.get(path) : undefined;
}

function callStarter(methods: Methods) {
  return (stream: Stream, head: RequestHead, nowMs: number): void => {
    const timeLeftMs = head.fault === undefined ? parseCall(head) : INVALID_METADATA;
    if (typeof timeLeftMs !== "number") {
      const onInvalid = invalidCallHandler(methods, head);
      if (onInvalid === undefined) rejectCall(stream, timeLeftMs);
      else onInvalid(stream);
      return;
    }
    if (timeLeftMs < MAX_CALL_MS) stream.deadlineMs = nowMs + timeLeftMs;
    const start = methods.byPath.get(head.path);
    if (start === undefined) rejectCall(stream, UNKNOWN_METHOD);
    else start(stream);
  };
}
