import type { ServerHttp2Stream } from "node:http2";
import { SERVING_STATUS } from "./health.ts";
import { CHECK_PATH, HEALTH_SERVICE } from "./proto.ts";
import type { Received } from "./rpc-frame.ts";
import { framed } from "./rpc-frame.ts";
import type { RpcRefusal } from "./rpc-status.ts";
import { RPC_STATUS } from "./rpc-status.ts";
import { answerRpc, beginAnswers, refuse } from "./rpc-stream.ts";
import type { TransportOptions } from "./transport.ts";

/** What a method does with the message that came. `endMs` is when the caller gives up. */
export type Method = (received: Received, stream: ServerHttp2Stream, endMs: number) => void;

export interface MethodPorts extends Pick<TransportOptions, "check" | "health"> {
  readonly nowMs: () => number;
  /** The call may stay open. */
  readonly keep: (stream: ServerHttp2Stream) => void;
}

/** The methods by their paths. */
export function createMethods(ports: MethodPorts): ReadonlyMap<string, Method> {
  return new Map([
    [CHECK_PATH, checkMethod(ports)],
    [HEALTH_SERVICE.Check.path, healthCheckMethod(ports)],
    [HEALTH_SERVICE.Watch.path, healthWatchMethod(ports)],
  ]);
}

/** A message that cannot be read is refused by a CheckResponse as well: Envoy may let a gRPC error through. */
function checkMethod({ check, nowMs }: MethodPorts): Method {
  return (received, stream, endMs) => {
    const answer = check(received.kind === "message" ? received.message : undefined, endMs - nowMs());
    if (answer instanceof Promise) void answer.then((message) => answerRpc(stream, message));
    else answerRpc(stream, answer);
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

function healthWatchMethod({ health, keep }: MethodPorts): Method {
  return (received, stream) => {
    const service = serviceAsked(received);
    if (typeof service !== "string") return refuse(stream, service);
    if (!beginAnswers(stream)) return;
    keep(stream);
    const unwatch = health.watch(service, {
      tell: (status) => void stream.write(framed(HEALTH_SERVICE.Watch.responseSerialize({ status }))),
      end: () => void stream.end(),
    });
    stream.on("close", unwatch);
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
