import type { BucketLimit } from "./token-bucket.ts";
import { MICRO } from "./token-bucket.ts";

/**
 * A bucket that instances take leases from: what `redis/lease.lua` does in one step, in the same arithmetic on the
 * same doubles. Leases that are out stay in the bucket's books, and refill stops at `capacity − outstanding`: so the
 * level and all unspent leases together never exceed the capacity, whoever holds them.
 */
export interface LeasedBucket {
  /** Integer micro-tokens that nobody has. */
  levelMicro: number;
  /** Microseconds of the store's clock up to which refill has been credited. */
  stampUs: number;
  /** Leases that are out, by id. */
  readonly leases: Map<string, OpenLease>;
}

export interface OpenLease {
  /** Whole tokens, as they were granted: spending is reported late, never early. */
  readonly tokens: number;
  /** Microseconds of the store's clock from which the lease counts as spent. */
  readonly deadlineUs: number;
}

/** That an instance is through with a lease. An id that the bucket does not know, or no longer, gives nothing back. */
export interface Settlement {
  readonly leaseId: string;
  /** Whole tokens that were not spent. */
  readonly unspentTokens: number;
  /** Microseconds that have passed on the holder's clock since it spent the last of the others. */
  readonly spentAgoUs: number;
}

/** What an instance asks for. All are whole tokens. */
export interface LeaseRequest {
  /** Unique for ever: instance and counter. */
  readonly leaseId: string;
  /** The least that is of use: what the first waiting request costs. */
  readonly cost: number;
  /** What all requests that wait at this moment cost together. */
  readonly waiting: number;
  /** What is asked ahead of need; it gets at most half of the level. */
  readonly ahead: number;
}

export interface LeaseReply {
  /** Whole tokens; 0 when the level is below the cost. */
  readonly grantedTokens: number;
  /** After a refusal: microseconds until the level has the cost, if nothing comes back before. */
  readonly waitUs: number;
  /** Whether tokens are out that may come back sooner. */
  readonly leasesOutstanding: boolean;
}

/** How long a lease lives on the store's clock. */
export const LEASE_LIFE_US = 1_000_000;

export function fullLeasedBucket(limit: BucketLimit, nowUs: number): LeasedBucket {
  return { levelMicro: limit.capacity * MICRO, stampUs: nowUs, leases: new Map() };
}

/** Refills, settles and grants, in this order. Changes the bucket; without an ask it only settles. */
export function leaseStep(
  bucket: LeasedBucket,
  limit: BucketLimit,
  settlements: readonly Settlement[],
  ask: LeaseRequest | undefined,
  nowUs: number,
): LeaseReply {
  advanceTo(bucket, limit, settlements, nowUs);
  for (const { leaseId } of settlements) settle(bucket, leaseId);
  const grantedTokens = ask === undefined ? 0 : grant(bucket, ask, nowUs);
  const refused = ask !== undefined && grantedTokens === 0;
  return {
    grantedTokens,
    waitUs: refused ? waitForUs(bucket, limit, ask.cost, nowUs) : 0,
    leasesOutstanding: refused && bucket.leases.size > 0,
  };
}

/** Refill stops at `capacity − outstanding`: a cost beyond that has to wait until the leases are over, too. */
function waitForUs(bucket: LeasedBucket, limit: BucketLimit, cost: number, nowUs: number): number {
  const costMicro = cost * MICRO;
  const refillUs = Math.ceil(Math.max(0, costMicro - bucket.levelMicro) / limit.refillPerSecond);
  if (limit.capacity * MICRO - outstandingMicro(bucket) >= costMicro) return refillUs;
  let overUs = 0;
  for (const lease of bucket.leases.values()) overUs = Math.max(overUs, lease.deadlineUs - nowUs);
  return overUs + refillUs;
}

/** From `atUs` on, no more than `tokens` of a lease are out. */
interface Release {
  readonly atUs: number;
  readonly leaseId: string;
  readonly tokens: number;
}

/**
 * Brings the bucket up to now. What leaves the books makes room for refill from then on, not from the last step on:
 * a token that was spent from when its holder spent it; a lease that was not settled from its deadline, for whoever
 * held it may have spent it until then.
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
    // The clock has stepped back: what is left of a lease is its whole life at most.
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

/** What is left of the lease goes back; past its deadline there is no lease any more. */
function settle(bucket: LeasedBucket, leaseId: string): void {
  const lease = bucket.leases.get(leaseId);
  if (lease === undefined) return;
  bucket.leases.delete(leaseId);
  bucket.levelMicro += lease.tokens * MICRO;
}

/**
 * One token a second is one micro-token a microsecond. Only whole micro-tokens are credited, and the stamp moves by
 * the time that they took, rounded up: slow refills lose next to nothing and never gain.
 */
function refill(bucket: LeasedBucket, limit: BucketLimit, nowUs: number): void {
  const roomMicro = limit.capacity * MICRO - outstandingMicro(bucket);
  const elapsedUs = nowUs - bucket.stampUs;
  if (elapsedUs <= 0) {
    bucket.stampUs = nowUs;
  } else {
    const creditMicro = Math.floor(elapsedUs * limit.refillPerSecond);
    bucket.levelMicro += creditMicro;
    bucket.stampUs += Math.min(elapsedUs, Math.ceil(creditMicro / limit.refillPerSecond));
  }
  if (bucket.levelMicro >= roomMicro) {
    bucket.levelMicro = Math.max(0, roomMicro);
    bucket.stampUs = nowUs;
  }
}

function outstandingMicro(bucket: LeasedBucket): number {
  let tokens = 0;
  for (const lease of bucket.leases.values()) tokens += lease.tokens;
  return tokens * MICRO;
}

function grant(bucket: LeasedBucket, ask: LeaseRequest, nowUs: number): number {
  // It has been carried out before: nothing is granted twice for it.
  const before = bucket.leases.get(ask.leaseId);
  if (before !== undefined) return before.tokens;
  const level = Math.floor(bucket.levelMicro / MICRO);
  if (level < ask.cost || ask.cost < 1) return 0;
  const tokens = Math.max(ask.cost, Math.min(ask.waiting, level), Math.min(ask.ahead, Math.floor(level / 2)));
  bucket.levelMicro -= tokens * MICRO;
  bucket.leases.set(ask.leaseId, { tokens, deadlineUs: nowUs + LEASE_LIFE_US });
  return tokens;
}
