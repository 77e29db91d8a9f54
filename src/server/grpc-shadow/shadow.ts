import type { Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { threadMemoryMib } from "../../config/usable-memory.ts";
import type { CheckResponse } from "../../ext-authz/messages.ts";
import type { ResponseObserver } from "../../ext-authz/observed-encoder.ts";
import type { UnaryMethod } from "../../grpc/transport.ts";
import { FAULTS } from "../../telemetry/fault-messages.ts";
import type { Log } from "../../telemetry/log.ts";
import { GRPC_SHADOW_RESULTS } from "../../telemetry/metrics/instance-meter.ts";
import type { Metrics } from "../../telemetry/metrics/metrics.ts";
import { createSampled } from "../../telemetry/sampled.ts";
import type { Runtime } from "../runtime.ts";
import type { CopiedSockets } from "./copied-sockets.ts";
import { createCopiedSockets } from "./copied-sockets.ts";
import type { Comparison } from "./messages.ts";
import type { ShadowLink, ShadowLinkOptions } from "./shadow-link.ts";
import { openShadowLink } from "./shadow-link.ts";

// The file beside this one, in src/ and in dist/.
const THREAD = new URL(import.meta.url.replace(/shadow(\.[jt]s)$/, "shadow-thread$1"));
/** The thread holds messages, and the sessions of grpc-js. */
const MAX_HEAP_MIB = 256;

/**
 * A second gRPC server on @grpc/grpc-js, in a thread of its own. It receives a copy of the bytes of each connection, and its
 * results are compared with ours. It decides nothing, and no client receives anything from it. It neither delays nor fails a call.
 */
export interface GrpcShadow {
  /** Copies the bytes of a connection. */
  readonly onOpened: (socket: Socket) => void;
  /** The same method, which reports its calls to the shadow. */
  readonly observe: (method: UnaryMethod) => UnaryMethod;
  /** Takes what the responses to Checks must say. */
  readonly responses: ResponseObserver;
  readonly close: () => Promise<void>;
}

export interface GrpcShadowDeps {
  readonly log: Pick<Log, "warn">;
  readonly metrics: Pick<Metrics, "grpcShadowCompared">;
}

/** Opens the shadow if `GRPC_SERVER` says so. */
export function startGrpcShadow({ settings, log, metrics, shutdown }: Runtime): GrpcShadow | undefined {
  if (settings.GRPC_SERVER !== "shadow") return undefined;
  const shadow = openGrpcShadow({ log, metrics });
  shutdown.defer("the shadow of the gRPC server", shadow.close);
  return shadow;
}

export function openGrpcShadow(
  deps: GrpcShadowDeps,
  options: Partial<Omit<ShadowLinkOptions, "onReport" | "onFailure">> = {},
): GrpcShadow {
  const { metrics } = deps;
  // The link may fail before it is open.
  const sockets = createCopiedSockets({ isUp: () => link.isUp(), send: (event) => link.send(event) });
  const link = openReportingLink(deps, options, {
    onFinished: sockets.forget,
    onFailure: sockets.forgetAll,
  });
  const expected = new WeakMap<Uint8Array, CheckResponse>();
  const skip = () => metrics.grpcShadowCompared("skipped", 1);
  return {
    onOpened: sockets.copy,
    observe: (method) => observedMethod(method, { sockets, expected, skip }),
    responses: {
      isObserving: () => sockets.size() > 0,
      onResponse: (bytes, response) => void expected.set(bytes, response),
      onFault: () => metrics.grpcShadowCompared("failed", 1),
    },
    close: link.close,
  };
}

/** Opens the link. Counts and logs what the thread reports. */
function openReportingLink(
  { log, metrics }: GrpcShadowDeps,
  options: Partial<ShadowLinkOptions>,
  { onFinished, onFailure }: { onFinished: (ids: readonly number[]) => void; onFailure: () => void },
): ShadowLink {
  const logDifference = createSampled(
    () => performance.now(),
    (unlogged, { method, fields }: Comparison) =>
      log.warn({ method, fields, unlogged }, FAULTS.grpcShadowDiffers),
  );
  return openShadowLink({
    startThread: () =>
      new Worker(THREAD, { resourceLimits: { maxOldGenerationSizeMb: threadMemoryMib(MAX_HEAP_MIB) } }),
    ...options,
    onReport({ counts, difference, finished }) {
      for (const result of GRPC_SHADOW_RESULTS) metrics.grpcShadowCompared(result, counts[result]);
      if (difference !== undefined) logDifference(difference);
      onFinished(finished);
    },
    onFailure(error) {
      metrics.grpcShadowCompared("failed", 1);
      log.warn({ err: error }, FAULTS.grpcShadowFailed);
      onFailure();
    },
  });
}

interface Observation {
  readonly sockets: CopiedSockets;
  readonly expected: WeakMap<Uint8Array, CheckResponse>;
  readonly skip: () => void;
}

function observedMethod(method: UnaryMethod, { sockets, expected, skip }: Observation): UnaryMethod {
  const { path } = method;
  return {
    ...method,
    handle(message, timeLeftMs, socket) {
      if (socket === undefined || message === undefined || !sockets.isCopied(socket)) {
        skip();
        return method.handle(message, timeLeftMs);
      }
      // The message is valid during the call only.
      const copy = new Uint8Array(message);
      const onResponse = (response: Uint8Array) => {
        const says = expected.get(response);
        const call = { path, message: copy, response: new Uint8Array(response) };
        if (!sockets.answered(socket, says === undefined ? call : { ...call, expected: says })) skip();
        return response;
      };
      const response = method.handle(message, timeLeftMs);
      return response instanceof Promise ? response.then(onResponse) : onResponse(response);
    },
  };
}
