import { createHash } from "node:crypto";
import type { DescriptorEntry, DescriptorLevel, DescriptorLimit } from "../core/limits/descriptor-limits.ts";
import { limitOfDescriptor } from "../core/limits/descriptor-limits.ts";
import type { BucketDemand, DescriptorBuckets, TakeOutcome } from "../core/limits/ports.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import { chain } from "../core/maybe-promise.ts";
import type { RateLimitRequest, ReceivedDescriptor } from "./request-decoder.ts";
import type { DescriptorStatus } from "./response-encoder.ts";

/** The outcome for one descriptor. `shadow` is above the limit, and allowed. `failed` is a request that could not be decided. */
export type RateLimitResult = "ok" | "over_limit" | "shadow" | "unlimited" | "unmatched" | "failed";

export interface Decided {
  readonly status: DescriptorStatus;
  readonly result: RateLimitResult;
}

export const NOTHING_TO_CHARGE = {
  unmatched: { status: { code: "ok" }, result: "unmatched" },
  unlimited: { status: { code: "ok" }, result: "unlimited" },
} as const satisfies Record<string, Decided>;

/** The tokens that a descriptor takes from its bucket. */
export interface BucketCharge {
  readonly found: Extract<DescriptorLimit, { kind: "bucket" }>;
  readonly demand: BucketDemand;
  readonly cost: number;
}

/** What a descriptor charges, or why it charges nothing. */
export function chargeOf(
  domain: DescriptorLevel,
  request: RateLimitRequest,
  { entries, hits }: ReceivedDescriptor,
): BucketCharge | keyof typeof NOTHING_TO_CHARGE {
  const found = limitOfDescriptor(domain, entries);
  if (found === undefined) return "unmatched";
  if (found.kind === "unlimited") return "unlimited";
  const cost = hits ?? (request.hits === 0 ? 1 : request.hits);
  return { found, cost, demand: { bucketId: bucketIdOf(request.domain, entries), limit: found.limit } };
}

/** Decides by the bucket. What exceeds the level is denied, and takes what is left. */
export function chargeBucket(
  buckets: DescriptorBuckets,
  charge: BucketCharge,
  nowMs: () => number,
): MaybePromise<Decided> {
  const { demand, cost } = charge;
  if (cost > demand.limit.capacity) return drain(buckets, charge, nowMs);
  const taken = cost === 0 ? buckets.peek(demand, nowMs()) : buckets.take([demand], cost, nowMs());
  return chain(taken, (outcome) =>
    cost > 1 && isLimited(outcome) ? drain(buckets, charge, nowMs) : decidedBy(charge, outcome),
  );
}

function isLimited(outcome: TakeOutcome): boolean {
  return !outcome.ok && outcome.reason === "rate_limited";
}

/** The tokens that are left may be in a lease and in the store. A bucket that refills meanwhile must not hold a request for ever. */
const TAKES_OF_EACH_PART = 3;

/**
 * Takes all whole tokens in powers of two, the largest first: the hits of a denied request were made, so they count like those of an
 * admitted one.
 */
async function drain(
  buckets: DescriptorBuckets,
  charge: BucketCharge,
  nowMs: () => number,
): Promise<Decided> {
  const { demand, cost } = charge;
  const { capacity, refillPerSecond } = demand.limit;
  const resetSeconds = Math.min(cost, capacity) / refillPerSecond;
  const drained = decided(charge, true, { remaining: 0, resetSeconds });
  for (let part = 2 ** Math.floor(Math.log2(Math.min(cost, capacity))); part >= 1; part /= 2) {
    for (let takes = 0; takes < TAKES_OF_EACH_PART; takes++) {
      const outcome = await buckets.take([demand], part, nowMs());
      if (outcome.ok) continue;
      if (!isLimited(outcome)) return drained;
      break;
    }
  }
  return drained;
}

function decidedBy(charge: BucketCharge, outcome: TakeOutcome): Decided {
  const { capacity, refillPerSecond } = charge.demand.limit;
  const remaining = outcome.rates[0]?.remaining ?? 0;
  const resetSeconds = outcome.ok ? (capacity - remaining) / refillPerSecond : outcome.retryAfterSeconds;
  return decided(charge, !outcome.ok, { remaining, resetSeconds });
}

function decided(
  { found: { limit, shadow } }: BucketCharge,
  isOver: boolean,
  state: { readonly remaining: number; readonly resetSeconds: number },
): Decided {
  return {
    status: {
      code: isOver && !shadow ? "over_limit" : "ok",
      limit: { name: limit.name, bucket: limit, ...state },
    },
    result: isOver ? (shadow ? "shadow" : "over_limit") : "ok",
  };
}

/** Values of clients are hashed, each with its length, so that none of them becomes a part of a name or another list of entries. */
function bucketIdOf(domain: string, entries: readonly DescriptorEntry[]): string {
  const hash = createHash("sha256");
  for (const text of [domain, ...entries.flatMap(({ key, value }) => [key, value])]) {
    const bytes = Buffer.from(text, "utf8");
    hash.update(`${bytes.length}:`).update(bytes);
  }
  // The name of a role contains no slash.
  return `rls/${hash.digest("hex")}`;
}
