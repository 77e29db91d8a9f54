import type { BucketLimit } from "../core/limits/token-bucket.ts";
import { field, numberField, textField, toBytes } from "../grpc/protobuf-writer.ts";

export const CODES = { ok: 1, over_limit: 2 } as const;
export type Code = keyof typeof CODES;

/** The state of one descriptor after a request. */
export interface DescriptorStatus {
  readonly code: Code;
  /** Absent: no limit applies. */
  readonly limit?: {
    readonly name: string;
    readonly bucket: BucketLimit;
    /** Whole tokens that this instance knows to be left. */
    readonly remaining: number;
    /** Until the bucket is full, or until enough tokens are refilled for a request above the limit. */
    readonly resetSeconds: number;
  };
}

/** Numbers of `RateLimit.Unit`, by their seconds. */
const UNITS = [
  { seconds: 1, number: 1 },
  { seconds: 60, number: 2 },
  { seconds: 3600, number: 3 },
  { seconds: 86_400, number: 4 },
] as const;

const MAX_INT32 = 2 ** 31 - 1;

export function encodeRateLimitResponse(overall: Code, statuses: readonly DescriptorStatus[]): Uint8Array {
  const encoded = statuses.map((status) => field(2, statusBytes(status))).join("");
  return toBytes(numberField(1, CODES[overall]) + encoded);
}

function statusBytes({ code, limit }: DescriptorStatus): string {
  const bytes = numberField(1, CODES[code]);
  if (limit === undefined) return bytes;
  const { name, bucket, remaining, resetSeconds } = limit;
  const current = field(2, rateBytes(bucket) + textField(3, name));
  const reset = field(4, numberField(1, bounded(resetSeconds)));
  return bytes + current + numberField(3, bounded(remaining)) + reset;
}

/** The refill in the shortest unit in which it is at least 1. Envoy has no field for a capacity. */
function rateBytes({ refillPerSecond }: BucketLimit): string {
  const unit = UNITS.find(({ seconds }) => refillPerSecond * seconds >= 1 - ROUNDING) ?? UNITS[3];
  const requests = Math.max(1, Math.floor(refillPerSecond * unit.seconds + ROUNDING));
  return numberField(1, bounded(requests)) + numberField(2, unit.number);
}

/** 1/60 a second is 1 a minute. */
const ROUNDING = 1e-6;

function bounded(value: number): number {
  return Math.max(0, Math.min(MAX_INT32, Math.ceil(value)));
}
