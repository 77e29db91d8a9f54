import type { RateStatus } from "../decision/decision.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { RateLimit } from "../policy/policy.ts";

/** One bucket that a request takes tokens from. */
export interface BucketDemand {
  /** The bucket's id on all instances: role or plan, limit and subject. */
  readonly bucketId: string;
  readonly limit: RateLimit;
}

export type TakeOutcome =
  | { readonly ok: true; readonly rates: readonly RateStatus[] }
  | {
      readonly ok: false;
      readonly reason: "rate_limited" | "limits_unavailable";
      /** Whole seconds, from 1. A single client that waits this long is admitted. */
      readonly retryAfterSeconds: number;
      readonly rates: readonly RateStatus[];
    };

export interface BucketStore {
  /**
   * Takes `cost` tokens from every bucket, or from none. `cost` is a whole number from 0, and at most each capacity. A cost of 0
   * is always admitted.
   */
  take(demands: readonly BucketDemand[], cost: number, nowMs: number): MaybePromise<TakeOutcome>;
}

/** The present level of a bucket. */
export interface BucketLevel {
  readonly limit: RateLimit;
  /** Tokens in the store, possibly a fraction. */
  readonly tokens: number;
  /** Whole tokens in leases of instances. */
  readonly leasedTokens: number;
}

/** The operators' calls on buckets. */
export interface BucketAdmin {
  levels(demands: readonly BucketDemand[], nowMs: number): Promise<readonly BucketLevel[]>;
  /** Fills the buckets. Outstanding leases end within their second. */
  reset(demands: readonly BucketDemand[]): Promise<void>;
}
