import type { ExceededQuota, RateStatus } from "../decision/decision.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { RateLimit } from "../policy/policy.ts";
import type { CounterUse } from "../quotas/quota-counter.ts";
import type { QuotaDemand } from "../quotas/quota-demand.ts";

/** One bucket that a request takes tokens from. */
export interface BucketDemand {
  /** The bucket's id on all instances: role or plan, limit and subject. */
  readonly bucketId: string;
  readonly limit: RateLimit;
  /**
   * The id in two parts. Many buckets share the first one. The second one is a text of the key, so a table in memory neither joins nor
   * hashes an id in each Check, and keeps no text for each bucket. All demands of one bucket name it in the same way.
   */
  readonly scope?: string;
  readonly subject?: string;
}

export type TakeOutcome =
  | { readonly ok: true; readonly rates: readonly RateStatus[] }
  | {
      readonly ok: false;
      readonly reason: "rate_limited" | "quota_exceeded" | "limits_unavailable";
      /** Whole seconds, from 1. A single client that waits this long is admitted. */
      readonly retryAfterSeconds: number;
      readonly rates: readonly RateStatus[];
      /** With `quota_exceeded`: the quota with the longest wait. */
      readonly quota?: ExceededQuota;
    };

export interface BucketStore {
  /**
   * Takes `cost` tokens from every bucket, or from none. `cost` is a whole number from 0, and at most each capacity. A cost of 0
   * is always admitted.
   */
  take(demands: readonly BucketDemand[], cost: number, nowMs: number): MaybePromise<TakeOutcome>;
}

/** Buckets that can be looked at. */
export interface PeekableBuckets extends BucketStore {
  /** Whether every bucket holds a whole token. Takes nothing. */
  peek(demands: readonly BucketDemand[], nowMs: number): MaybePromise<TakeOutcome>;
}

/** Buckets in the memory of one process. */
export interface LocalBuckets {
  /** Whole seconds until all buckets hold the tokens; 0 if they do now. Changes nothing. */
  waitSeconds(demands: readonly BucketDemand[], cost: number, nowMs: number): number;
  take(demands: readonly BucketDemand[], cost: number, nowMs: number): TakeOutcome;
}

/** Where a Check takes from buckets and quotas at once. */
export interface LimitStore {
  /**
   * Takes `cost` from every bucket and every quota of requests, and `reserve` from every quota of another unit, or nothing from any. A
   * cost of 0 is always admitted. A cost above the limit of a quota is denied.
   */
  take(
    buckets: readonly BucketDemand[],
    cost: number,
    nowMs: number,
    quotas?: readonly QuotaDemand[],
    reserve?: number,
  ): MaybePromise<TakeOutcome>;
}

/** What a descriptor of Envoy's Rate Limit Service takes from: one bucket, or one counter. */
export interface DescriptorDemand {
  readonly buckets: readonly BucketDemand[];
  readonly quotas: readonly QuotaDemand[];
}

/** Buckets and quotas of Envoy's Rate Limit Service. */
export interface DescriptorLimits extends LimitStore {
  /** Whether everything holds a whole token or unit. Takes nothing. */
  peek(demand: DescriptorDemand, nowMs: number): MaybePromise<TakeOutcome>;
}

/** The quotas of units that are charged after the response. */
export interface ChargedQuotas {
  /** Whether every quota has something left, as it was known at most a second ago. Takes nothing. */
  look(quotas: readonly QuotaDemand[], nowMs: number): MaybePromise<TakeOutcome>;
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

/** The present state of a counter. */
export interface QuotaLevel {
  readonly demand: QuotaDemand;
  /** Units of the present window. */
  readonly limitUnits: number;
  /** Units that are spent in it. */
  readonly usedUnits: number;
  /** Units that instances hold as leases. */
  readonly leasedUnits: number;
  /** Milliseconds since 1970. */
  readonly resetsAtMs: number;
}

/** The operators' calls on counters. */
export interface QuotaAdmin {
  /**
   * All counters, in portions that do not delay Checks. A counter may occur twice, and one that is written meanwhile may be
   * missing.
   */
  uses(): AsyncIterable<readonly CounterUse[]>;
  levels(demands: readonly QuotaDemand[]): Promise<readonly QuotaLevel[]>;
  /** Sets what is used to 0. Outstanding leases end within their second. */
  reset(demands: readonly QuotaDemand[]): Promise<void>;
}
