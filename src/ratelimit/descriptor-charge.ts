import { createHash } from "node:crypto";
import type { DescriptorEntry, DescriptorLevel, DescriptorLimit } from "../core/limits/descriptor-limits.ts";
import { limitOfDescriptor } from "../core/limits/descriptor-limits.ts";
import type { BucketDemand, BucketStore, TakeOutcome } from "../core/limits/ports.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
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

export type DescriptorBuckets = BucketStore;

export function chargeBucket(
  buckets: DescriptorBuckets,
  { found, demand, cost }: BucketCharge,
  nowMs: number,
): MaybePromise<Decided> {
  const { capacity } = found.limit;
  // No bucket holds more than its capacity, so such a request is never admitted, and takes nothing.
  const taken = buckets.take([demand], cost > capacity ? 0 : cost, nowMs);
  const decide = (outcome: TakeOutcome) => statusOf(found, outcome, cost > capacity);
  return taken instanceof Promise ? taken.then(decide) : decide(taken);
}

function statusOf(
  { limit, shadow }: BucketCharge["found"],
  outcome: TakeOutcome,
  exceedsCapacity: boolean,
): Decided {
  const isOver = !outcome.ok || exceedsCapacity;
  const remaining = outcome.rates[0]?.remaining ?? 0;
  const resetSeconds = outcome.ok
    ? (limit.capacity - remaining) / limit.refillPerSecond
    : outcome.retryAfterSeconds;
  return {
    status: {
      code: isOver && !shadow ? "over_limit" : "ok",
      limit: { name: limit.name, bucket: limit, remaining, resetSeconds },
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
