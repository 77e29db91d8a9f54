import type { Connection } from "../http2/connection.ts";
import type { Stream } from "../http2/stream.ts";
import { serveBidiStream } from "./bidi-stream.ts";
import { SERVING_STATUS } from "./health.ts";
import { decodeHealthRequest, encodeHealthResponse } from "./health-messages.ts";
import type { Received } from "./message-frame.ts";
import { OVERSIZED } from "./message-frame.ts";
import { CHECK_PATH, HEALTH_PATHS, REFLECTION_PATHS } from "./proto.ts";
import { reflectBytes } from "./reflection.ts";
import { endResponse, rejectCall, sendMessage, sendUnaryResponse, startResponse } from "./responses.ts";
import type { RpcRejection } from "./status.ts";
import { RPC_STATUS } from "./status.ts";
import type { TransportOptions } from "./transport.ts";
import { receiveUnary } from "./unary-receiver.ts";

export interface MethodPorts extends Pick<TransportOptions, "check" | "health"> {
  readonly nowMs: () => number;
  readonly faulted: (error: unknown) => void;
}

/** Begins a call of one method. */
export type StartCall = (stream: Stream) => void;

/** Watches and reflection calls last: so many of one connection, and of all together. */
const WATCHES = { ofConnection: 64, ofAll: 1024 };
const REFLECTIONS = { ofConnection: 8, ofAll: 64 };

export interface Methods {
  /** By their paths. */
  readonly byPath: ReadonlyMap<string, StartCall>;
  /** Answers a Check that cannot be taken, whatever is wrong with it. */
  readonly denyCheck: (stream: Stream) => void;
}

export function createMethods(ports: MethodPorts): Methods {
  const check = checkMethod(ports);
  const enterReflection = createPlaces(REFLECTIONS);
  const reflection: StartCall = (stream) => {
    const leave = enterReflection(stream.connection);
    if (leave === undefined) rejectCall(stream, TOO_MANY);
    else serveBidiStream(stream, reflectBytes, leave);
  };
  return {
    byPath: new Map([
      [CHECK_PATH, unary(check)],
      [HEALTH_PATHS.check, unary(healthCheckMethod(ports))],
      [HEALTH_PATHS.watch, unary(healthWatchMethod(ports))],
      ...REFLECTION_PATHS.map((path): [string, StartCall] => [path, reflection]),
    ]),
    denyCheck: (stream) => check(OVERSIZED, stream),
  };
}

function unary(method: Method): StartCall {
  const { receive, giveUp } = receiveUnary(method);
  return (stream) => {
    stream.receive = receive;
    stream.giveUp = giveUp;
  };
}

type Method = (received: Received, stream: Stream) => void;

/** Takes a place for a call that lasts, and gives what frees it; undefined where there is none left: the newest call loses. */
function createPlaces(max: { readonly ofConnection: number; readonly ofAll: number }) {
  const taken = new WeakMap<Connection, number>();
  let all = 0;
  return (connection: Connection): (() => void) | undefined => {
    const own = taken.get(connection) ?? 0;
    if (own >= max.ofConnection || all >= max.ofAll) return undefined;
    taken.set(connection, own + 1);
    all++;
    return () => {
      taken.set(connection, (taken.get(connection) ?? 0) - 1);
      all--;
    };
  };
}

const TOO_MANY: RpcRejection = {
  status: RPC_STATUS.RESOURCE_EXHAUSTED,
  message: "too many calls of this kind are open",
};

/** A message that cannot be read is refused by a CheckResponse as well: Envoy may let a gRPC error through. */
function checkMethod({ check, nowMs, faulted }: MethodPorts): Method {
  return (received, stream) => {
    const message = received.kind === "message" ? received.message : undefined;
    const answer = check(message, stream.deadlineMs - nowMs());
    if (!(answer instanceof Promise)) return sendUnaryResponse(stream, answer);
    answer
      .then((settled) => sendUnaryResponse(stream, settled))
      .catch((error: unknown) => {
        faulted(error);
        stream.connection.socket.destroy();
      });
  };
}

const UNKNOWN_SERVICE: RpcRejection = { status: RPC_STATUS.NOT_FOUND, message: "unknown service" };
const UNDECODABLE_MESSAGE: RpcRejection = {
  status: RPC_STATUS.INTERNAL,
  message: "the message does not decode",
};

function healthCheckMethod({ health }: MethodPorts): Method {
  return (received, stream) => {
    const service = requestedService(received);
    if (typeof service !== "string") return rejectCall(stream, service);
    const status = health.current(service);
    if (status === SERVING_STATUS.SERVICE_UNKNOWN) return rejectCall(stream, UNKNOWN_SERVICE);
    sendUnaryResponse(stream, encodeHealthResponse({ status }));
  };
}

function healthWatchMethod({ health }: MethodPorts): Method {
  const enter = createPlaces(WATCHES);
  return (received, stream) => {
    const service = requestedService(received);
    if (typeof service !== "string") return rejectCall(stream, service);
    const leave = enter(stream.connection);
    if (leave === undefined) return rejectCall(stream, TOO_MANY);
    startResponse(stream);
    stream.deadlineMs = Number.POSITIVE_INFINITY;
    const unwatch = health.watch(service, {
      onStatus: (status) => sendMessage(stream, encodeHealthResponse({ status })),
      end: () => endResponse(stream),
    });
    const closed = () => {
      unwatch();
      leave();
    };
    // The first notification may have ended the call.
    if (stream.isClosed) closed();
    else stream.onClose = closed;
  };
}

function requestedService(received: Received): string | RpcRejection {
  if (received.kind === "unreadable") return received.why;
  try {
    return decodeHealthRequest(received.message).service;
  } catch {
    return UNDECODABLE_MESSAGE;
  }
}
