import { aheadTokens } from "./lease-demand.ts";
import type { EndedLease, LeaseHolder } from "./lease-holder.ts";
import {
  availableTokens,
  DEADLINE_MARGIN_MS,
  endLeasesDueBy,
  LEASE_LIFE_MS,
  WINDOW_MARGIN_MS,
} from "./lease-holder.ts";
import type { LeaseReply, LeaseRequest, Settlement } from "./leased-bucket.ts";
import { LEASE_LIFE_US } from "./leased-bucket.ts";

/** Other instances may return outstanding leases, so a denial is then remembered no longer than this. */
const MAX_DENIAL_MS_IF_LEASED = 1000;
/** An operator may have raised the limit of a quota or reset it. */
const MAX_QUOTA_DENIAL_MS = 60_000;
/** A quota that grants nothing in advance is nearly exhausted, and stays so for a while. */
const NO_AHEAD_MS = 1000;
/** The minimum, however fast the bucket refills: the refill of this time is fetched at once later, so nothing is lost. */
const MIN_DENIAL_MS = 10;

/** Builds the message to the store and marks it as pending. Throws if another one is pending. */
export function beginLeaseRequest(
  holder: LeaseHolder,
  cost: number,
  leaseId: string,
  nowMs: number,
): { readonly settlements: readonly Settlement[]; readonly request: LeaseRequest } {
  if (holder.inFlight !== undefined) throw new RangeError("a lease request is pending already");
  endLeasesDueBy(holder, nowMs);
  const settling = takeSettlements(holder);
  const settlements = settling.map((ended) => settlementOf(ended, nowMs));
  holder.inFlight = { leaseId, cost, sentMs: nowMs, settling };
  const waiting = Math.max(cost, holder.waiting);
  const ahead = aheadTokens(holder, cost, waiting, nowMs);
  const held = availableTokens(holder, nowMs);
  return { settlements, request: { leaseId, cost, waiting, ahead, held } };
}

/** Applies the store's reply. The deadline counts from the sending of the request: the store cannot have granted earlier. */
export function completeLeaseRequest(holder: LeaseHolder, reply: LeaseReply, nowMs: number): void {
  const { inFlight } = holder;
  if (inFlight === undefined) throw new RangeError("no lease request is pending");
  holder.inFlight = undefined;
  holder.isHalfFull = reply.isHalfFull ?? false;
  if (reply.counter !== undefined) {
    holder.counter.freeUnits = reply.counter.freeUnits;
    holder.counter.replyMs = nowMs;
  }
  if (reply.grantedTokens > 0) {
    holder.empty = undefined;
    holder.leases.push({
      id: inFlight.leaseId,
      tokens: reply.grantedTokens,
      deadlineMs: inFlight.sentMs + usableMs(reply),
      spentMs: nowMs,
    });
  } else if (inFlight.cost === 0) holder.counter.noAheadUntilMs = nowMs + NO_AHEAD_MS;
  else holder.empty = rememberedDenial(reply, inFlight.cost, nowMs);
}

function usableMs({ counter }: LeaseReply): number {
  return counter === undefined || counter.lifeUs >= LEASE_LIFE_US
    ? LEASE_LIFE_MS - DEADLINE_MARGIN_MS
    : counter.lifeUs / 1000 - WINDOW_MARGIN_MS;
}

function rememberedDenial(
  { waitUs, leasesOutstanding, counter }: LeaseReply,
  cost: number,
  nowMs: number,
): NonNullable<LeaseHolder["empty"]> {
  const waitMs = waitUs / 1000;
  const maxMs = leasesOutstanding
    ? MAX_DENIAL_MS_IF_LEASED
    : counter === undefined
      ? Number.POSITIVE_INFINITY
      : MAX_QUOTA_DENIAL_MS;
  return {
    cost,
    untilMs: nowMs + Math.max(MIN_DENIAL_MS, Math.min(waitMs, maxMs)),
    dueMs: nowMs + waitMs,
    leasesOutstanding,
  };
}

/**
 * The request failed, but the store may have executed it. Its lease expires as spent. Its settlements are sent again, which is
 * idempotent.
 */
export function failLeaseRequest(holder: LeaseHolder): void {
  const { inFlight } = holder;
  if (inFlight === undefined) return;
  holder.inFlight = undefined;
  requeueSettlements(holder, inFlight.settling);
}

/** The ended leases to report to the store. If the report fails, call {@link requeueSettlements}. */
export function takeSettlements(holder: LeaseHolder): readonly EndedLease[] {
  const ended = holder.ended;
  holder.ended = [];
  return ended;
}

export function requeueSettlements(holder: LeaseHolder, ended: readonly EndedLease[]): void {
  holder.ended.push(...ended);
}

/** The age is rounded down. It grows on the way to the store, which therefore credits less refill than it could. */
export function settlementOf({ leaseId, unspentTokens, spentMs }: EndedLease, nowMs: number): Settlement {
  return { leaseId, unspentTokens, spentAgoUs: Math.floor(Math.max(0, nowMs - spentMs) * 1000) };
}
