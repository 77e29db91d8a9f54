import type { ShouldRateLimitPorts } from "../ratelimit/should-rate-limit.ts";
import { createShouldRateLimit } from "../ratelimit/should-rate-limit.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Runtime } from "./runtime.ts";

/** Serves Envoy's Rate Limit Service with these buckets. Each descriptor is counted. */
export function createRateLimits(
  { log, metrics }: Pick<Runtime, "log" | "metrics">,
  ports: Pick<ShouldRateLimitPorts, "policy" | "limits" | "nowMs" | "receiveCharge">,
) {
  return createShouldRateLimit({
    ...ports,
    onResult: metrics.rateLimitDecided,
    onFault: (error) => log.error({ err: error }, FAULTS.rateLimit),
  });
}
