import { field, numberField, textField, toBytes } from "../grpc/protobuf-writer.ts";
import type { CurrentLimit } from "./current-limit.ts";

export const CODES = { ok: 1, over_limit: 2 } as const;
export type Code = keyof typeof CODES;

/** The state of one descriptor after a request. */
export interface DescriptorStatus {
  readonly code: Code;
  /** Absent: no limit applies. */
  readonly limit?: CurrentLimit & {
    /** Whole tokens or units that this instance knows to be left. */
    readonly remaining: number;
    /** Until the bucket is full, or until enough tokens are refilled for a request above the limit; of a quota: until its window ends. */
    readonly resetSeconds: number;
  };
}

/** Numbers of `RateLimit.Unit`. */
const UNITS: Readonly<Record<CurrentLimit["unit"], number>> = {
  second: 1,
  minute: 2,
  hour: 3,
  day: 4,
  month: 5,
  week: 7,
};

const MAX_INT32 = 2 ** 31 - 1;

export function encodeRateLimitResponse(overall: Code, statuses: readonly DescriptorStatus[]): Uint8Array {
  const encoded = statuses.map((status) => field(2, statusBytes(status))).join("");
  return toBytes(numberField(1, CODES[overall]) + encoded);
}

function statusBytes({ code, limit }: DescriptorStatus): string {
  const bytes = numberField(1, CODES[code]);
  if (limit === undefined) return bytes;
  const { name, requestsPerUnit, unit, remaining, resetSeconds } = limit;
  const rate = numberField(1, bounded(requestsPerUnit)) + numberField(2, UNITS[unit]);
  const current = field(2, rate + textField(3, name));
  const reset = field(4, numberField(1, bounded(resetSeconds)));
  return bytes + current + numberField(3, bounded(remaining)) + reset;
}

function bounded(value: number): number {
  return Math.max(0, Math.min(MAX_INT32, Math.ceil(value)));
}
