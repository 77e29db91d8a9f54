import type { DemandWindow, LeaseHolder } from "./lease-holder.ts";
import { availableTokens, emptyForMs, HELD_MS } from "./lease-holder.ts";

const BURST_WINDOW_MS = 100;
const RECENT_WINDOW_MS = 1000;

/** Counts the tokens that a request wants, whether or not it gets them. */
export function recordDemand({ burst, recent }: LeaseHolder, cost: number, nowMs: number): void {
  advance(burst, nowMs / BURST_WINDOW_MS);
  burst.current += cost;
  advance(recent, nowMs / RECENT_WINDOW_MS);
  recent.current += cost;
}

/** Whether to request tokens before any request has to wait, after a request of this cost has been served. */
export function shouldPrefetch(holder: LeaseHolder, cost: number, nowMs: number): boolean {
  if (holder.inFlight !== undefined || maxAhead(holder) === 0) return false;
  if (emptyForMs(holder, 1, nowMs) > 0 || nowMs < holder.counter.noAheadUntilMs) return false;
  return availableTokens(holder, nowMs) < (tokensIn(holder.burst, nowMs / BURST_WINDOW_MS) - cost) / 2;
}

/**
 * Tokens to request ahead of need, at most a tenth of the capacity, so none for small buckets. They are twice the demand of the last
 * 100 ms without the current requests. A single request thus leases only its cost, and nothing has to be returned. While at least
 * half of the bucket is left, they are enough for the whole time that a lease is held, at the rate of the last second.
 * @param cost of the request that is sent for
 */
export function aheadTokens(holder: LeaseHolder, cost: number, currentTokens: number, nowMs: number): number {
  const burst = tokensIn(holder.burst, nowMs / BURST_WINDOW_MS) - currentTokens;
  const ahead = Math.min(maxAhead(holder), Math.ceil(2 * Math.max(0, burst)));
  return holder.isHalfFull ? Math.max(ahead, aheadWhileHeld(holder, cost, currentTokens, nowMs)) : ahead;
}

/** Only for whole requests, and if one is likely: what is not used up costs a message more than it saves. */
function aheadWhileHeld(holder: LeaseHolder, cost: number, currentTokens: number, nowMs: number): number {
  const { recent, waiting } = holder;
  const further = tokensIn(recent, nowMs / RECENT_WINDOW_MS) - currentTokens;
  const expected = (further / cost) * (HELD_MS / RECENT_WINDOW_MS);
  const requests = Math.min(Math.round(expected), Math.floor((maxAhead(holder) - waiting) / cost));
  return expected < 1 || requests < 1 ? 0 : waiting + requests * cost;
}

function maxAhead({ limit }: LeaseHolder): number {
  return limit.leased ? Math.floor(limit.capacity / 10) : 0;
}

/** The tokens of the last window: those of the current one, and the part of the previous one that is in the span. */
function tokensIn(window: DemandWindow, at: number): number {
  advance(window, at);
  return window.current + window.previous * (1 - (at - window.index));
}

/** @param at the time in lengths of the window */
function advance(window: DemandWindow, at: number): void {
  const windows = Math.floor(at) - window.index;
  if (windows <= 0) return;
  window.previous = windows === 1 ? window.current : 0;
  window.current = 0;
  window.index += windows;
}
