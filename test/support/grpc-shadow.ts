import { EventEmitter } from "node:events";
import { loadReferenceCodecs } from "../../src/grpc/reference-codec.ts";
import { openReferenceConnection } from "../../src/grpc/reference-connection.ts";
import type { GrpcServerOptions } from "../../src/grpc/server.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import type { UnaryMethod } from "../../src/grpc/transport.ts";
import type { CompareCall } from "../../src/server/grpc-shadow/call-comparison.ts";
import { createCompareCall } from "../../src/server/grpc-shadow/call-comparison.ts";
import type { GrpcShadow } from "../../src/server/grpc-shadow/shadow.ts";
import { openGrpcShadow } from "../../src/server/grpc-shadow/shadow.ts";
import type { ShadowLinkOptions, ShadowThread } from "../../src/server/grpc-shadow/shadow-link.ts";
import { createShadowSide } from "../../src/server/grpc-shadow/shadow-side.ts";
import type { GrpcShadowResult } from "../../src/telemetry/metrics/instance-meter.ts";

export interface ShadowedServer {
  readonly address: string;
  readonly shadow: GrpcShadow;
  readonly counts: Readonly<Record<GrpcShadowResult, number>>;
  /** The fields of each line of the log. */
  readonly lines: readonly object[];
  /** Resolves when as many calls have this result. */
  counted(result: GrpcShadowResult, calls: number): Promise<void>;
  stop(): Promise<void>;
}

export type ShadowedMethods = (shadow: GrpcShadow) => Promise<readonly UnaryMethod[]>;

/** Our own gRPC server with a shadow. */
export async function startShadowed(
  methods: ShadowedMethods,
  options: Partial<ShadowLinkOptions> = {},
  serverOptions: Partial<GrpcServerOptions> = {},
): Promise<ShadowedServer> {
  const counts = { equal: 0, request_differs: 0, response_differs: 0, skipped: 0, failed: 0 };
  const lines: object[] = [];
  const changes = new EventEmitter();
  const shadow = openGrpcShadow(
    {
      log: { warn: (fields) => void lines.push(fields) },
      metrics: {
        grpcShadowCompared(result, calls) {
          counts[result] += calls;
          changes.emit("counted");
        },
      },
    },
    options,
  );
  const server = await startGrpcServer({
    listen: "127.0.0.1:0",
    methods: await methods(shadow),
    onOpened: shadow.onOpened,
    ...serverOptions,
  });
  return {
    ...{ address: server.address, shadow, counts, lines },
    counted: (result, calls) =>
      new Promise((resolve) => {
        const look = () => {
          if (counts[result] < calls) return;
          changes.off("counted", look);
          resolve();
        };
        changes.on("counted", look);
        look();
      }),
    async stop() {
      await server.close(0);
      await shadow.close();
    },
  };
}

/** The shadow's part in this thread, so that a test decides when it sweeps. */
export function shadowInThisThread(compare: CompareCall = createCompareCall(loadReferenceCodecs())) {
  const events = new EventEmitter();
  const side = createShadowSide({
    compare,
    open: openReferenceConnection,
    send: (report) => events.emit("message", report),
  });
  const thread: ShadowThread = Object.assign(events, {
    postMessage: side.process,
    terminate: async () => 0,
    unref: () => undefined,
  });
  return { thread, sweep: side.sweep };
}
