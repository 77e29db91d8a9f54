import { SERVING_STATUS } from "./health.ts";
import type { Receive, Stream } from "./http2/stream.ts";
import { CHECK_PATH, HEALTH_SERVICE } from "./proto.ts";
import { REFLECTION_PATHS, reflectBytes } from "./reflection.ts";
import type { Received } from "./rpc-frame.ts";
import { createReceiver } from "./rpc-receive.ts";
import type { RpcRefusal } from "./rpc-status.ts";
import { RPC_STATUS } from "./rpc-status.ts";
import { addAnswer, answerRpc, beginAnswers, endAnswers, refuse } from "./rpc-stream.ts";
import { talk } from "./rpc-talk.ts";
import type { TransportOptions } from "./transport.ts";

export interface MethodPorts extends Pick<TransportOptions, "check" | "health"> {
  readonly nowMs: () => number;
  readonly faulted: (error: unknown) => void;
}

/** Begins a call of one method. */
export type Begin = (stream: Stream) => void;

/** The methods by their paths. */
export function createMethods(ports: MethodPorts): ReadonlyMap<string, Begin> {
  const receive = createReceiver();
  const unary = (method: (received: Received, stream: Stream) => void): Begin => {
    const received: Receive = receive(method);
    return (stream) => {
      stream.receive = received;
    };
  };
  return new Map([
    [CHECK_PATH, unary(checkMethod(ports))],
    [HEALTH_SERVICE.Check.path, unary(healthCheckMethod(ports))],
    [HEALTH_SERVICE.Watch.path, unary(healthWatchMethod(ports))],
    ...REFLECTION_PATHS.map((path): [string, Begin] => [path, (stream) => talk(stream, reflectBytes)]),
  ]);
}

type Method = (received: Received, stream: Stream) => void;

/** A message that cannot be read is refused by a CheckResponse as well: Envoy may let a gRPC error through. */
function checkMethod({ check, nowMs, faulted }: MethodPorts): Method {
  return (received, stream) => {
    const message = received.kind === "message" ? received.message : undefined;
    const answer = check(message, stream.endMs - nowMs());
    if (!(answer instanceof Promise)) return answerRpc(stream, answer);
    answer
      .then((settled) => answerRpc(stream, settled))
      .catch((error: unknown) => {
        faulted(error);
        stream.connection.socket.destroy();
      });
  };
}

const UNKNOWN_SERVICE: RpcRefusal = { status: RPC_STATUS.NOT_FOUND, message: "unknown service" };
const NO_MESSAGE_OF_OURS: RpcRefusal = {
  status: RPC_STATUS.INTERNAL,
  message: "the message does not decode",
};

function healthCheckMethod({ health }: MethodPorts): Method {
  return (received, stream) => {
    const service = serviceAsked(received);
    if (typeof service !== "string") return refuse(stream, service);
    const status = health.current(service);
    if (status === SERVING_STATUS.SERVICE_UNKNOWN) return refuse(stream, UNKNOWN_SERVICE);
    answerRpc(stream, HEALTH_SERVICE.Check.responseSerialize({ status }));
  };
}

function healthWatchMethod({ health }: MethodPorts): Method {
  return (received, stream) => {
    const service = serviceAsked(received);
    if (typeof service !== "string") return refuse(stream, service);
    beginAnswers(stream);
    stream.endMs = Number.POSITIVE_INFINITY;
    stream.closed = health.watch(service, {
      tell: (status) => addAnswer(stream, HEALTH_SERVICE.Watch.responseSerialize({ status })),
      end: () => endAnswers(stream),
    });
  };
}

function serviceAsked(received: Received): string | RpcRefusal {
  if (received.kind === "unreadable") return received.why;
  try {
    return HEALTH_SERVICE.Check.requestDeserialize(received.message).service;
  } catch {
    return NO_MESSAGE_OF_OURS;
  }
}
