import { LEASE_LIFE_US } from "./leased-bucket.ts";
import type { BucketLimit } from "./token-bucket.ts";

/**
 * The leases that one instance holds of one shared bucket: a state machine without clock and I/O. Times are milliseconds of the
 * instance's monotonic clock. Tokens are whole numbers. `lease-request.ts` exchanges
 * leases with the store, and `lease-demand.ts` decides how many tokens to request.
 */
export interface LeaseHolder {
  readonly limit: LeaseLimit;
  /** Earliest deadline first. */
  readonly leases: HeldLease[];
  /** Ended leases that the store has not confirmed. */
  ended: EndedLease[];
  /** The one pending request. */
  inFlight: InFlight | undefined;
  /** Tokens that requests are waiting for. */
  waiting: number;
  /** The last denial of the store. It is remembered, so that a flood of requests does not reach the store. */
  empty: RememberedDenial | undefined;
  /** What requests wanted in windows of 100 ms, and in windows of a second. */
  readonly burst: DemandWindow;
  readonly recent: DemandWindow;
  /** Whether the bucket had at least half of its capacity left after the last grant. Never of a quota. */
  isHalfFull: boolean;
  lastUseMs: number;
  /** Of a quota: what the last reply said, and when; −∞ before the first one. */
  counter: { freeUnits: number; replyMs: number; noAheadUntilMs: number };
}

/** Tokens that requests wanted. */
export interface DemandWindow {
  /** The number of the window on the monotonic clock: a whole number, which takes less memory than a time. */
  index: number;
  current: number;
  previous: number;
}

export interface LeaseLimit extends BucketLimit {
  /** False with `lease: off`: never requests more than the waiting requests need. */
  readonly leased: boolean;
}

export interface HeldLease {
  readonly id: string;
  tokens: number;
  /** The instance stops spending at this time, before the store counts the lease as spent. */
  readonly deadlineMs: number;
  /** The time of the last spending, or of the grant. */
  spentMs: number;
}

export interface EndedLease {
  readonly leaseId: string;
  readonly unspentTokens: number;
  readonly spentMs: number;
  /** From this time on the store has counted the lease as spent, so a settlement has no effect. */
  readonly voidMs: number;
}

interface RememberedDenial {
  /** The store denied this cost. A lower cost may be granted. */
  readonly cost: number;
  /** No request goes to the store before this time. */
  readonly untilMs: number;
  /** The time at which the level reaches the cost if no lease is returned before. */
  readonly dueMs: number;
  /** Whether other leases were outstanding: the level stays below capacity minus those until they end. */
  readonly leasesOutstanding: boolean;
}

interface InFlight {
  readonly leaseId: string;
  readonly cost: number;
  readonly sentMs: number;
  /** The settlements of this request. They are kept until the response, because the request may be lost. */
  readonly settling: readonly EndedLease[];
}

/** Clocks run at slightly different speeds, and the process may pause between the check of the clock and the spending. */
export const DEADLINE_MARGIN_MS = 100;
/** The margin of a lease that ends with its window, which the store counted in microseconds. */
export const WINDOW_MARGIN_MS = 10;
export const LEASE_LIFE_MS = LEASE_LIFE_US / 1000;
/** An unused lease is returned after this time, unless half of the bucket is left, so that no other instance needs the tokens. */
const IDLE_MS = 200;
/** Every lease is returned when so little of its life is left. */
const RETURN_BEFORE_DEADLINE_MS = 100;
/** So a lease is held for this time at most. */
export const HELD_MS = LEASE_LIFE_MS - DEADLINE_MARGIN_MS - RETURN_BEFORE_DEADLINE_MS;

export function createLeaseHolder(limit: LeaseLimit, nowMs: number): LeaseHolder {
  return {
    limit,
    leases: [],
    ended: [],
    inFlight: undefined,
    waiting: 0,
    empty: undefined,
    burst: { index: 0, current: 0, previous: 0 },
    recent: { index: 0, current: 0, previous: 0 },
    isHalfFull: false,
    lastUseMs: nowMs,
    counter: {
      freeUnits: 0,
      replyMs: Number.NEGATIVE_INFINITY,
      noAheadUntilMs: Number.NEGATIVE_INFINITY,
    },
  };
}

/** Tokens that may be spent now. Ends the leases that are past their deadline. */
export function availableTokens(holder: LeaseHolder, nowMs: number): number {
  endLeasesDueBy(holder, nowMs);
  let tokens = 0;
  for (const lease of holder.leases) tokens += lease.tokens;
  return tokens;
}

/**
 * Spends held tokens. Throws if they are fewer than `cost`: the caller must check {@link availableTokens} in the same
 * synchronous step.
 */
export function spendTokens(holder: LeaseHolder, cost: number, nowMs: number): void {
  holder.lastUseMs = nowMs;
  let left = cost;
  for (const lease of holder.leases) {
    const spent = Math.min(left, lease.tokens);
    lease.tokens -= spent;
    lease.spentMs = nowMs;
    left -= spent;
    if (left === 0) break;
  }
  if (left > 0) throw new RangeError("spent more tokens than were held");
  while (holder.leases[0]?.tokens === 0) endLease(holder, 0);
}

/** Milliseconds for which the store would deny this cost again; 0 if a request makes sense now. */
export function emptyForMs({ empty }: LeaseHolder, cost: number, nowMs: number): number {
  return empty === undefined || cost < empty.cost ? 0 : Math.max(0, empty.untilMs - nowMs);
}

/**
 * The store has denied this cost, but may lack just the tokens that this instance has not returned. Ends its leases and forgets the
 * denial, so that the next request returns them and asks again.
 */
export function returnForCost(holder: LeaseHolder, cost: number, nowMs: number): void {
  if (emptyForMs(holder, cost, nowMs) === 0) return;
  returnAllLeases(holder);
  if (hasUnspent(holder)) holder.empty = undefined;
}

/** Milliseconds after which a single client is admitted at this cost; 0 if no denial is remembered for it. */
export function dueInMs({ empty, limit }: LeaseHolder, cost: number, nowMs: number): number {
  if (empty === undefined || cost < empty.cost) return 0;
  const dueMs = Math.max(0, empty.dueMs - nowMs);
  if (cost === empty.cost) return dueMs;
  const leasesMs = empty.leasesOutstanding ? LEASE_LIFE_MS : 0;
  return dueMs + leasesMs + ((cost - empty.cost) / limit.refillPerSecond) * 1000;
}

/** Ends leases that are idle or close to their deadline. Returns whether there are tokens to return to the store. */
export function returnIdleLeases(holder: LeaseHolder, nowMs: number): boolean {
  const idle = !holder.isHalfFull && nowMs - holder.lastUseMs >= IDLE_MS;
  endLeasesDueBy(holder, idle ? Number.POSITIVE_INFINITY : nowMs + RETURN_BEFORE_DEADLINE_MS);
  dropVoid(holder, nowMs);
  return hasUnspent(holder);
}

/** A sweep visits many holders, and nearly all of them have nothing to drop. So it creates no array for those. */
function dropVoid(holder: LeaseHolder, nowMs: number): void {
  for (const { voidMs } of holder.ended) {
    if (voidMs > nowMs) continue;
    holder.ended = holder.ended.filter((ended) => ended.voidMs > nowMs);
    return;
  }
}

function hasUnspent({ ended }: LeaseHolder): boolean {
  for (const { unspentTokens } of ended) if (unspentTokens > 0) return true;
  return false;
}

/** Ends all leases: on shutdown, or when the bucket is removed. */
export function returnAllLeases(holder: LeaseHolder): void {
  while (holder.leases.length > 0) endLease(holder, 0);
}

/**
 * Whether the holder has nothing to return until its next use, so that it can be forgotten without loss. The store denies again what
 * it denied before. It counts a spent lease as spent, whether or not it is reported.
 */
export function isDormant(holder: LeaseHolder): boolean {
  return (
    holder.leases.length === 0 && holder.inFlight === undefined && holder.waiting === 0 && !hasUnspent(holder)
  );
}

/** Ends the leases whose deadline is at or before this time. Tokens of an overdue lease can still be returned in time. */
export function endLeasesDueBy(holder: LeaseHolder, timeMs: number): void {
  for (let index = holder.leases.length - 1; index >= 0; index--) {
    const lease = holder.leases[index];
    if (lease !== undefined && lease.deadlineMs <= timeMs) endLease(holder, index);
  }
}

function endLease(holder: LeaseHolder, index: number): void {
  const { leases } = holder;
  const lease = leases[index];
  if (lease === undefined) return;
  // Nearly always there is one lease, and pop creates no array.
  if (index === leases.length - 1) leases.pop();
  else leases.splice(index, 1);
  const voidMs = lease.deadlineMs + 2 * DEADLINE_MARGIN_MS;
  const { id, tokens, spentMs } = lease;
  holder.ended.push({ leaseId: id, unspentTokens: tokens, spentMs, voidMs });
}
