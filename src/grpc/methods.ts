import type { Connection, Stream } from "../http2/server.ts";
import { abortConnection, bufferBody } from "../http2/server.ts";
import { serveBidiStream } from "./bidi-stream.ts";
import { SERVING_STATUS } from "./health.ts";
import { decodeHealthRequest, encodeHealthResponse } from "./health-messages.ts";
import type { Received } from "./message-frame.ts";
import { FRAME_HEAD_BYTES, OVERSIZED, parseFrame } from "./message-frame.ts";
import { HEALTH_PATHS, REFLECTION_PATHS } from "./proto.ts";
import { reflectBytes } from "./reflection.ts";
import { endResponse, rejectCall, sendMessage, sendUnaryResponse, startResponse } from "./responses.ts";
import type { RpcRejection } from "./status.ts";
import { RPC_STATUS, UNDECODABLE_MESSAGE } from "./status.ts";
import type { TransportOptions, UnaryMethod } from "./transport.ts";
import { MAX_MESSAGE_BYTES } from "./transport.ts";

/** Starts a call of one method: sets the callbacks of its stream. */
export type StartCall = (stream: Stream) => void;

/** Limits for calls that last: watches and reflection streams. */
const WATCHES = { perConnection: 64, total: 1024 };
const REFLECTIONS = { perConnection: 8, total: 64 };

export interface Methods {
  readonly byPath: ReadonlyMap<string, StartCall>;
  /** By path: answers a call that cannot be received. Absent for a method whose invalid calls end with a status. */
  readonly onInvalid: ReadonlyMap<string, StartCall>;
}

export function createMethods(
  { methods, health }: Pick<TransportOptions, "methods" | "health">,
  nowMs: () => number,
): Methods {
  const byPath = new Map<string, StartCall>([
    [HEALTH_PATHS.check, unary(healthCheckHandler(health))],
    [HEALTH_PATHS.watch, unary(healthWatchHandler(health))],
  ]);
  const reflection = createReflection();
  for (const path of REFLECTION_PATHS) byPath.set(path, reflection);
  const onInvalid = new Map<string, StartCall>();
  for (const method of methods) {
    const handler = applicationHandler(method, nowMs);
    byPath.set(method.path, unary(handler));
    if (method.handlesInvalid) onInvalid.set(method.path, (stream) => handler(OVERSIZED, stream));
  }
  return { byPath, onInvalid };
}

/** Handles the one message of a unary call. */
type UnaryHandler = (received: Received, stream: Stream) => void;

function unary(handler: UnaryHandler): StartCall {
  const { onBody, onBodyRejected } = bufferBody(MAX_MESSAGE_BYTES + FRAME_HEAD_BYTES, (stream, body) =>
    handler(body === undefined ? OVERSIZED : parseFrame(body, MAX_MESSAGE_BYTES), stream),
  );
  return (stream) => {
    stream.onBody = onBody;
    stream.onBodyRejected = onBodyRejected;
  };
}

function applicationHandler({ handle, handlesInvalid }: UnaryMethod, nowMs: () => number): UnaryHandler {
  return (received, stream) => {
    if (received.kind === "invalid" && !handlesInvalid) return rejectCall(stream, received.rejection);
    const message = received.kind === "message" ? received.message : undefined;
    const response = handle(message, stream.deadlineMs - nowMs(), stream.connection.socket);
    if (!(response instanceof Promise)) return sendUnaryResponse(stream, response);
    response
      .then((settled) => sendUnaryResponse(stream, settled))
      .catch((error: unknown) => abortConnection(stream, error));
  };
}

/** Returns a function that takes a place for a call, and returns what frees the place; undefined if no place is left. */
function createPlaces(max: { readonly perConnection: number; readonly total: number }) {
  const taken = new WeakMap<Connection, number>();
  let total = 0;
  return ({ connection }: Stream): (() => void) | undefined => {
    const own = taken.get(connection) ?? 0;
    if (own >= max.perConnection || total >= max.total) return undefined;
    taken.set(connection, own + 1);
    total++;
    return () => {
      taken.set(connection, (taken.get(connection) ?? 0) - 1);
      total--;
    };
  };
}

const TOO_MANY_CALLS: RpcRejection = {
  status: RPC_STATUS.RESOURCE_EXHAUSTED,
  message: "too many calls of this kind are open",
};

function createReflection(): StartCall {
  const takePlace = createPlaces(REFLECTIONS);
  return (stream) => {
    const freePlace = takePlace(stream);
    if (freePlace === undefined) rejectCall(stream, TOO_MANY_CALLS);
    else serveBidiStream(stream, reflectBytes, freePlace);
  };
}

const UNKNOWN_SERVICE: RpcRejection = { status: RPC_STATUS.NOT_FOUND, message: "unknown service" };

function healthCheckHandler(health: TransportOptions["health"]): UnaryHandler {
  return (received, stream) => {
    const service = requestedService(received);
    if (typeof service !== "string") return rejectCall(stream, service);
    const status = health.current(service);
    if (status === SERVING_STATUS.SERVICE_UNKNOWN) return rejectCall(stream, UNKNOWN_SERVICE);
    sendUnaryResponse(stream, encodeHealthResponse({ status }));
  };
}

function healthWatchHandler(health: TransportOptions["health"]): UnaryHandler {
  const takePlace = createPlaces(WATCHES);
  return (received, stream) => {
    const service = requestedService(received);
    if (typeof service !== "string") return rejectCall(stream, service);
    const freePlace = takePlace(stream);
    if (freePlace === undefined) return rejectCall(stream, TOO_MANY_CALLS);
    startResponse(stream);
    stream.deadlineMs = Number.POSITIVE_INFINITY;
    const unwatch = health.watch(service, {
      onStatus: (status) => sendMessage(stream, encodeHealthResponse({ status })),
      onEnd: () => endResponse(stream),
    });
    const onClose = () => {
      unwatch();
      freePlace();
    };
    // The first notification may have closed the stream.
    if (stream.state === "closed") onClose();
    else stream.onClose = onClose;
  };
}

function requestedService(received: Received): string | RpcRejection {
  if (received.kind === "invalid") return received.rejection;
  try {
    return decodeHealthRequest(received.message).service;
  } catch {
    return UNDECODABLE_MESSAGE;
  }
}
