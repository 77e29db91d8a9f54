import type { DescriptorLimit } from "../core/limits/descriptor-limits.ts";
import type { BucketLimit } from "../core/limits/token-bucket.ts";

/** A limit as Envoy's service describes it. */
export interface CurrentLimit {
  readonly name: string;
  readonly requestsPerUnit: number;
  readonly unit: "second" | "minute" | "hour" | "day" | "week" | "month";
}

export function currentLimit(found: Exclude<DescriptorLimit, { kind: "unlimited" }>): CurrentLimit {
  if (found.kind === "quota") {
    const { name, limit, every } = found.quota;
    return { name, requestsPerUnit: limit, unit: every };
  }
  return { name: found.limit.name, ...refillRate(found.limit) };
}

const UNITS = [
  { seconds: 1, unit: "second" },
  { seconds: 60, unit: "minute" },
  { seconds: 3600, unit: "hour" },
  { seconds: 86_400, unit: "day" },
] as const;

/** 1/60 a second is 1 a minute. */
const ROUNDING = 1e-6;

/** The refill in the shortest unit in which it is at least 1. Envoy has no field for a capacity. */
function refillRate({ refillPerSecond }: BucketLimit): Pick<CurrentLimit, "requestsPerUnit" | "unit"> {
  const { seconds, unit } =
    UNITS.find(({ seconds: each }) => refillPerSecond * each >= 1 - ROUNDING) ?? UNITS[3];
  return { requestsPerUnit: Math.max(1, Math.floor(refillPerSecond * seconds + ROUNDING)), unit };
}
