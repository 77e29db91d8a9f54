import type { RateStatus } from "../decision/decision.ts";
import type { RateLimit } from "../policy/policy.ts";

/** What the `RateLimit` headers say about one bucket. */
export function rateStatus({ name, capacity, refillPerSecond }: RateLimit, tokens: number): RateStatus {
  return {
    name,
    capacity,
    windowSeconds: Math.ceil(capacity / refillPerSecond),
    remaining: Math.floor(tokens),
  };
}
