import type { BucketLimit } from "./token-bucket.ts";
import { MICRO } from "./token-bucket.ts";

/**
 * A bucket that instances take leases from. `redis/scripts/lease.lua` does the same in one step, with the same arithmetic on the
 * same doubles. The bucket keeps its outstanding leases, and refill stops at `capacity − outstanding`. So the level and all
 * unspent leases together never exceed the capacity.
 */
export interface LeasedBucket {
  /** Integer micro-tokens that are not leased. */
  levelMicro: number;
  /** Microseconds of the store's clock up to which refill has been credited. */
  stampUs: number;
  /** The outstanding leases, by id. */
  readonly leases: Map<string, OpenLease>;
}

export interface OpenLease {
  /** Whole tokens, as granted: the bucket learns of the spending only by the settlement. */
  readonly tokens: number;
  /** Microseconds of the store's clock from which the lease counts as spent. */
  readonly deadlineUs: number;
}

/** The end of a lease on an instance. A settlement of an unknown or expired lease returns no tokens. */
export interface Settlement {
  readonly leaseId: string;
  /** Whole tokens. */
  readonly unspentTokens: number;
  /** Microseconds on the holder's clock since it last spent a token of the lease. */
  readonly spentAgoUs: number;
}

/** A request for a lease. All amounts are whole tokens. */
export interface LeaseRequest {
  /** Instance and counter; never used again. */
  readonly leaseId: string;
  /** The minimum: the cost of the first waiting request. 0, only for a quota: nothing but `ahead` is wanted. */
  readonly cost: number;
  /** The cost of all waiting requests together. */
  readonly waiting: number;
  /** Tokens to hold in advance. At most half of the level is granted for it, and 1% of what a quota has left. */
  readonly ahead: number;
  /** Tokens that the instance holds already. They count as taken ahead of a quota. */
  readonly held: number;
}

export interface LeaseReply {
  /** Whole tokens; 0 when the level is below the cost. */
  readonly grantedTokens: number;
  /** After a denial: microseconds until the level reaches the cost if no lease is returned before. */
  readonly waitUs: number;
  /** After a denial: whether outstanding leases or reservations may be returned sooner. */
  readonly leasesOutstanding: boolean;
  /** After a grant: whether at least half of the capacity is left. Absent for a quota. */
  readonly isHalfFull?: boolean;
  /** Only of a quota. */
  readonly counter?: CounterReply;
}

/** What a lease of a quota has beside that of a bucket. */
export interface CounterReply {
  /** Microseconds that the granted lease lives: it ends with its window. */
  readonly lifeUs: number;
  /** Units that are neither used nor leased now. */
  readonly freeUnits: number;
}

/** The life of a lease on the store's clock. */
export const LEASE_LIFE_US = 1_000_000;

export function fullLeasedBucket(limit: BucketLimit, nowUs: number): LeasedBucket {
  return { levelMicro: limit.capacity * MICRO, stampUs: nowUs, leases: new Map() };
}

/** 142 years: a larger integer may not arrive exactly from Redis. */
const MAX_WAIT_US = 2 ** 52;

/** Refills, settles and grants, in this order. Changes the bucket. Without a request it only settles. */
export function leaseStep(
  bucket: LeasedBucket,
  limit: BucketLimit,
  settlements: readonly Settlement[],
  request: LeaseRequest | undefined,
  nowUs: number,
): LeaseReply {
  advanceTo(bucket, limit, settlements, nowUs);
  for (const { leaseId } of settlements) settle(bucket, leaseId);
  const grantedTokens = request === undefined ? 0 : grant(bucket, request, nowUs);
  const denied = request !== undefined && grantedTokens === 0;
  return {
    grantedTokens,
    waitUs: denied ? Math.min(waitForUs(bucket, limit, request.cost, nowUs), MAX_WAIT_US) : 0,
    leasesOutstanding: denied && bucket.leases.size > 0,
    isHalfFull: grantedTokens > 0 && bucket.levelMicro >= (limit.capacity * MICRO) / 2,
  };
}

/** Refill stops at `capacity − outstanding`. A higher cost also has to wait for the end of the leases. */
function waitForUs(bucket: LeasedBucket, limit: BucketLimit, cost: number, nowUs: number): number {
  const costMicro = cost * MICRO;
  const refillUs = Math.ceil(Math.max(0, costMicro - bucket.levelMicro) / limit.refillPerSecond);
  if (limit.capacity * MICRO - outstandingMicro(bucket) >= costMicro) return refillUs;
  let overUs = 0;
  for (const lease of bucket.leases.values()) overUs = Math.max(overUs, lease.deadlineUs - nowUs);
  return overUs + refillUs;
}

/** From `atUs` on, at most `tokens` of a lease are outstanding. */
interface Release {
  readonly atUs: number;
  readonly leaseId: string;
  readonly tokens: number;
}

/**
 * Advances the bucket to now. The end of a lease allows more refill from that time on, not from the last step on. A spent token
 * counts from the time of its spending. A lease without a settlement counts from its deadline, because its holder may have spent
 * it until then.
 */
function advanceTo(
  bucket: LeasedBucket,
  limit: BucketLimit,
  settlements: readonly Settlement[],
  nowUs: number,
): void {
  const { leases } = bucket;
  const releases: Release[] = [];
  for (const [leaseId, { tokens, deadlineUs }] of leases) {
    if (deadlineUs <= nowUs) releases.push({ atUs: deadlineUs, leaseId, tokens: 0 });
    // After a backward step of the clock, the rest of a lease is at most its whole life.
    const latestUs = nowUs + LEASE_LIFE_US;
    if (deadlineUs > latestUs) leases.set(leaseId, { tokens, deadlineUs: latestUs });
  }
  for (const { leaseId, unspentTokens, spentAgoUs } of settlements) {
    const atUs = nowUs - Math.max(0, spentAgoUs);
    releases.push({ atUs, leaseId, tokens: Math.max(0, unspentTokens) });
  }
  releases.sort((a, b) => a.atUs - b.atUs);
  for (const { atUs, leaseId, tokens } of releases) {
    const lease = leases.get(leaseId);
    if (lease === undefined) continue;
    if (atUs > bucket.stampUs) refill(bucket, limit, atUs);
    leases.set(leaseId, { ...lease, tokens: Math.min(lease.tokens, tokens) });
  }
  refill(bucket, limit, nowUs);
  for (const [leaseId, { deadlineUs }] of leases) if (deadlineUs <= nowUs) leases.delete(leaseId);
}

/** Returns the rest of the lease. A lease past its deadline no longer exists. */
function settle(bucket: LeasedBucket, leaseId: string): void {
  const lease = bucket.leases.get(leaseId);
  if (lease === undefined) return;
  bucket.leases.delete(leaseId);
  bucket.levelMicro += lease.tokens * MICRO;
}

/**
 * One token per second is one micro-token per microsecond. Only whole micro-tokens are credited. The stamp advances by the time
 * that they took, rounded up, so a slow refill loses almost nothing and never gains.
 */
function refill(bucket: LeasedBucket, limit: BucketLimit, nowUs: number): void {
  const maxLevelMicro = limit.capacity * MICRO - outstandingMicro(bucket);
  const elapsedUs = nowUs - bucket.stampUs;
  if (elapsedUs <= 0) {
    bucket.stampUs = nowUs;
  } else {
    const creditMicro = Math.floor(elapsedUs * limit.refillPerSecond);
    bucket.levelMicro += creditMicro;
    bucket.stampUs += Math.min(elapsedUs, Math.ceil(creditMicro / limit.refillPerSecond));
  }
  if (bucket.levelMicro >= maxLevelMicro) {
    bucket.levelMicro = Math.max(0, maxLevelMicro);
    bucket.stampUs = nowUs;
  }
}

function outstandingMicro(bucket: LeasedBucket): number {
  let tokens = 0;
  for (const lease of bucket.leases.values()) tokens += lease.tokens;
  return tokens * MICRO;
}

function grant(bucket: LeasedBucket, request: LeaseRequest, nowUs: number): number {
  // The request was executed before, so it grants nothing more.
  const before = bucket.leases.get(request.leaseId);
  if (before !== undefined) return before.tokens;
  const level = Math.floor(bucket.levelMicro / MICRO);
  if (level < request.cost || request.cost < 1) return 0;
  const tokens = Math.max(
    request.cost,
    Math.min(request.waiting, level),
    Math.min(request.ahead, Math.floor(level / 2)),
  );
  bucket.levelMicro -= tokens * MICRO;
  bucket.leases.set(request.leaseId, { tokens, deadlineUs: nowUs + LEASE_LIFE_US });
  return tokens;
}
