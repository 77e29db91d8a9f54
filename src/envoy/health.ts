import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { HealthCheckRequest, HealthCheckResponse } from "./proto.ts";

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

/** Services that the health service answers for; the empty name is the server as a whole. */
const SERVICES = ["", "envoy.service.auth.v3.Authorization"];

type WatchCall = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

/** The standard gRPC health service. It says NOT_SERVING until it is told otherwise. */
export function createHealth() {
  const watchers = new Set<WatchCall>();
  let serving = false;
  const current = (service: string): HealthCheckResponse["status"] => {
    if (!SERVICES.includes(service)) return SERVICE_UNKNOWN;
    return serving ? SERVING : NOT_SERVING;
  };
  return {
    handlers: {
      Check(
        call: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>,
        reply: sendUnaryData<HealthCheckResponse>,
      ) {
        const answer = current(call.request.service);
        if (answer === SERVICE_UNKNOWN) reply({ code: status.NOT_FOUND, details: "unknown service" });
        else reply(null, { status: answer });
      },
      Watch(call: WatchCall) {
        watchers.add(call);
        call.on("cancelled", () => watchers.delete(call));
        call.write({ status: current(call.request.service) });
      },
    },
    setServing(value: boolean) {
      if (value === serving) return;
      serving = value;
      for (const call of watchers) call.write({ status: current(call.request.service) });
    },
    /** Ends every watch: an open one would hold the server's shutdown up. */
    close() {
      for (const call of watchers) call.end();
      watchers.clear();
    },
  };
}
