import type { RateStatus } from "../decision/decision.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { RateLimit } from "../policy/policy.ts";

/** What a request wants of one bucket. */
export interface BucketDemand {
  /** Names the bucket for all instances: role, limit and whom it counts. */
  readonly bucketId: string;
  readonly limit: RateLimit;
}

export type TakeOutcome =
  | { readonly ok: true; readonly rates: readonly RateStatus[] }
  | {
      readonly ok: false;
      readonly reason: "rate_limited" | "limits_unavailable";
      /** Whole seconds, from 1: a lone client that waits so long is admitted. */
      readonly retryAfterSeconds: number;
      readonly rates: readonly RateStatus[];
    };

export interface BucketStore {
  /**
   * Takes `cost` tokens (a whole number from 0, at most each capacity) from every bucket, or from none.
   * A cost of 0 is always admitted.
   */
  take(demands: readonly BucketDemand[], cost: number, nowMs: number): MaybePromise<TakeOutcome>;
}

/** What a bucket holds at this moment. */
export interface BucketLevel {
  readonly limit: RateLimit;
  /** Tokens that nobody has taken; not necessarily whole. */
  readonly tokens: number;
  /** Whole tokens that instances hold in leases. */
  readonly leasedTokens: number;
}

/** What operators may do with buckets. */
export interface BucketAdmin {
  levels(demands: readonly BucketDemand[], nowMs: number): Promise<readonly BucketLevel[]>;
  /** Fills the buckets. Leases that are out end within their second. */
  reset(demands: readonly BucketDemand[]): Promise<void>;
}
