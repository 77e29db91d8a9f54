import type { LeaseReply, LeaseRequest, Settlement } from "./leased-bucket.ts";
import { LEASE_LIFE_US } from "./leased-bucket.ts";
import type { BucketLimit } from "./token-bucket.ts";

/**
 * What one instance holds of one shared bucket: a state machine without a clock and without I/O. Times are
 * milliseconds of the instance's monotonic clock, tokens are whole.
 */
export interface LeaseHolder {
  readonly limit: LeaseLimit;
  /** Earliest deadline first. */
  readonly leases: HeldLease[];
  /** Leases that are done with, until the store has heard of it. */
  ended: EndedLease[];
  /** The one request that is under way. */
  inFlight: InFlight | undefined;
  /** What requests wait for, in tokens. */
  waiting: number;
  /** A refusal that is remembered, so that a flood costs the store nothing. */
  empty: RememberedDenial | undefined;
  /** Tokens asked for lately: of the running window of 100 ms, and of the one before. */
  readonly demand: { windowStartMs: number; current: number; previous: number };
  lastUseMs: number;
}

export interface LeaseLimit extends BucketLimit {
  /** `lease: off`: never more than what waits. */
  readonly leased: boolean;
}

export interface HeldLease {
  readonly id: string;
  tokens: number;
  /** The instance stops spending here, before the store counts the lease as spent. */
  readonly deadlineMs: number;
  /** When a token of it was spent last, or it was granted. */
  spentMs: number;
}

interface EndedLease {
  readonly leaseId: string;
  readonly unspentTokens: number;
  readonly spentMs: number;
  /** The store has forgotten the lease by now, as spent: there is nothing left to tell it. */
  readonly voidMs: number;
}

interface RememberedDenial {
  /** Requests that cost less were not refused. */
  readonly cost: number;
  /** Until here nobody asks again. */
  readonly untilMs: number;
  /** Here the level has the cost, if nothing comes back before. */
  readonly dueMs: number;
  /** Leases were out: the level cannot grow beyond what they leave before they are over. */
  readonly leasesOutstanding: boolean;
}

interface InFlight {
  readonly leaseId: string;
  readonly cost: number;
  readonly sentMs: number;
  /** Settlements that went with it: kept until it is answered, for it may not have been carried out. */
  readonly settling: readonly EndedLease[];
}

/** Clocks run at slightly different speeds, and a pause may fall between looking at the clock and spending. */
const DEADLINE_MARGIN_MS = 100;
const LEASE_LIFE_MS = LEASE_LIFE_US / 1000;
/** An unused lease goes back after this; and any lease when so little of its life is left. */
const IDLE_MS = 200;
const RETURN_BEFORE_DEADLINE_MS = 100;
const DEMAND_WINDOW_MS = 100;
/** While others hold tokens they may bring some back: a refusal is not remembered for longer. */
const EMPTY_WHILE_OTHERS_OUT_MS = 1000;
/** Nor for less, however fast the bucket refills: what comes in meanwhile is fetched at once, and nothing is lost. */
const EMPTY_AT_LEAST_MS = 10;

export function createLeaseHolder(limit: LeaseLimit, nowMs: number): LeaseHolder {
  return {
    limit,
    leases: [],
    ended: [],
    inFlight: undefined,
    waiting: 0,
    empty: undefined,
    demand: { windowStartMs: nowMs, current: 0, previous: 0 },
    lastUseMs: nowMs,
  };
}

/** Tokens that may be spent now. Leases past their deadline are given up first. */
export function availableTokens(holder: LeaseHolder, nowMs: number): number {
  dropOverdue(holder, nowMs);
  let tokens = 0;
  for (const lease of holder.leases) tokens += lease.tokens;
  return tokens;
}

/** Milliseconds until asking the store again makes sense for this cost; 0 when it does now. */
export function emptyForMs(holder: LeaseHolder, cost: number, nowMs: number): number {
  const { empty } = holder;
  return empty === undefined || cost < empty.cost ? 0 : Math.max(0, empty.untilMs - nowMs);
}

/** Milliseconds after which a lone client is admitted at this cost; 0 unless a refusal is remembered. */
export function dueInMs(holder: LeaseHolder, cost: number, nowMs: number): number {
  const { empty, limit } = holder;
  if (empty === undefined || cost < empty.cost) return 0;
  const dueMs = Math.max(0, empty.dueMs - nowMs);
  if (cost === empty.cost) return dueMs;
  const leasesMs = empty.leasesOutstanding ? LEASE_LIFE_MS : 0;
  return dueMs + leasesMs + ((cost - empty.cost) / limit.refillPerSecond) * 1000;
}

/** Counts what a request wants, whether or not it gets it. */
export function recordDemand(holder: LeaseHolder, cost: number, nowMs: number): void {
  const { demand } = holder;
  turnWindow(demand, nowMs);
  demand.current += cost;
}

/** Spends from what is held. The caller has seen, in the same synchronous step, that it is there. */
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

/** Whether to ask the store before anybody has to wait, when a request of this cost has just been served. */
export function shouldPrefetch(holder: LeaseHolder, cost: number, nowMs: number): boolean {
  if (holder.inFlight !== undefined || aheadTokens(holder, cost, nowMs) === 0) return false;
  if (emptyForMs(holder, 1, nowMs) > 0) return false;
  return availableTokens(holder, nowMs) < (demandTokens(holder, nowMs) - cost) / 2;
}

/** What to send: settlements, and an ask. It is under way from now on; only one may be. */
export function beginLeaseRequest(
  holder: LeaseHolder,
  cost: number,
  leaseId: string,
  nowMs: number,
): { readonly settlements: readonly Settlement[]; readonly ask: LeaseRequest } {
  if (holder.inFlight !== undefined) throw new RangeError("an ask is under way already");
  dropOverdue(holder, nowMs);
  const settling = takeSettlements(holder);
  const settlements = settling.map((ended) => settlementOf(ended, nowMs));
  holder.inFlight = { leaseId, cost, sentMs: nowMs, settling };
  const waiting = Math.max(cost, holder.waiting);
  return { settlements, ask: { leaseId, cost, waiting, ahead: aheadTokens(holder, waiting, nowMs) } };
}

/** Takes in the answer. The deadline counts from when the ask was sent: the store cannot have granted before. */
export function completeLeaseRequest(holder: LeaseHolder, reply: LeaseReply, nowMs: number): void {
  const { inFlight } = holder;
  if (inFlight === undefined) throw new RangeError("no ask is under way");
  holder.inFlight = undefined;
  if (reply.grantedTokens > 0) {
    holder.empty = undefined;
    holder.leases.push({
      id: inFlight.leaseId,
      tokens: reply.grantedTokens,
      deadlineMs: inFlight.sentMs + LEASE_LIFE_MS - DEADLINE_MARGIN_MS,
      spentMs: nowMs,
    });
    return;
  }
  const waitMs = reply.waitUs / 1000;
  const rememberedMs = Math.max(
    EMPTY_AT_LEAST_MS,
    reply.leasesOutstanding ? Math.min(waitMs, EMPTY_WHILE_OTHERS_OUT_MS) : waitMs,
  );
  holder.empty = {
    cost: inFlight.cost,
    untilMs: nowMs + rememberedMs,
    dueMs: nowMs + waitMs,
    leasesOutstanding: reply.leasesOutstanding,
  };
}

/**
 * No answer came. The ask may have been carried out: its lease is left to expire as spent, and its settlements are
 * sent again, which changes nothing if they were heard.
 */
export function failLeaseRequest(holder: LeaseHolder): void {
  const { inFlight } = holder;
  if (inFlight === undefined) return;
  holder.inFlight = undefined;
  requeueSettlements(holder, inFlight.settling);
}

/** Gives up leases that nobody uses, or that are nearly over; whether there is something to send back. */
export function returnIdleLeases(holder: LeaseHolder, nowMs: number): boolean {
  const idle = nowMs - holder.lastUseMs >= IDLE_MS;
  for (let index = holder.leases.length - 1; index >= 0; index--) {
    const lease = holder.leases[index];
    if (lease !== undefined && (idle || lease.deadlineMs - nowMs <= RETURN_BEFORE_DEADLINE_MS))
      endLease(holder, index);
  }
  holder.ended = holder.ended.filter(({ voidMs }) => voidMs > nowMs);
  return holder.ended.some(({ unspentTokens }) => unspentTokens > 0);
}

/** Leases to tell the store of. Should that fail, {@link requeueSettlements} has it told again. */
export function takeSettlements(holder: LeaseHolder): readonly EndedLease[] {
  const ended = holder.ended;
  holder.ended = [];
  return ended;
}

export function requeueSettlements(holder: LeaseHolder, ended: readonly EndedLease[]): void {
  holder.ended.push(...ended);
}

/** What is told of it now. On its way it only grows older, and the store credits less than it might. */
export function settlementOf({ leaseId, unspentTokens, spentMs }: EndedLease, nowMs: number): Settlement {
  return { leaseId, unspentTokens, spentAgoUs: Math.floor(Math.max(0, nowMs - spentMs) * 1000) };
}

/** Gives up everything: on shutdown, or when the bucket was reset. */
export function returnAllLeases(holder: LeaseHolder): void {
  while (holder.leases.length > 0) endLease(holder, 0);
}

/** Whether nothing would be lost by forgetting the holder. */
export function isDormant(holder: LeaseHolder, nowMs: number): boolean {
  return (
    holder.leases.length === 0 &&
    holder.ended.length === 0 &&
    holder.inFlight === undefined &&
    holder.waiting === 0 &&
    emptyForMs(holder, Number.POSITIVE_INFINITY, nowMs) === 0
  );
}

function endLease(holder: LeaseHolder, index: number): void {
  const [lease] = holder.leases.splice(index, 1);
  if (lease === undefined) return;
  const voidMs = lease.deadlineMs + 2 * DEADLINE_MARGIN_MS;
  const { id, tokens, spentMs } = lease;
  holder.ended.push({ leaseId: id, unspentTokens: tokens, spentMs, voidMs });
}

/** Past its deadline a lease may no longer be spent; what is left of it may still come back in time. */
function dropOverdue(holder: LeaseHolder, nowMs: number): void {
  for (let index = holder.leases.length - 1; index >= 0; index--) {
    const lease = holder.leases[index];
    if (lease !== undefined && lease.deadlineMs <= nowMs) endLease(holder, index);
  }
}

/**
 * Twice the demand of the last 100 ms but for the requests at hand, at most a tenth of the capacity; none for small
 * buckets. A request that comes alone thus leases what it costs, and nothing has to be sent back.
 */
function aheadTokens(holder: LeaseHolder, atHand: number, nowMs: number): number {
  const { capacity, leased } = holder.limit;
  const further = Math.max(0, demandTokens(holder, nowMs) - atHand);
  return leased ? Math.min(Math.ceil(2 * further), Math.floor(capacity / 10)) : 0;
}

function demandTokens({ demand }: LeaseHolder, nowMs: number): number {
  turnWindow(demand, nowMs);
  const passed = (nowMs - demand.windowStartMs) / DEMAND_WINDOW_MS;
  return demand.current + demand.previous * (1 - passed);
}

function turnWindow(demand: LeaseHolder["demand"], nowMs: number): void {
  const windows = Math.floor((nowMs - demand.windowStartMs) / DEMAND_WINDOW_MS);
  if (windows <= 0) return;
  demand.previous = windows === 1 ? demand.current : 0;
  demand.current = 0;
  demand.windowStartMs += windows * DEMAND_WINDOW_MS;
}
