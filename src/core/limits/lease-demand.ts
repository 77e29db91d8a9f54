import type { LeaseHolder } from "./lease-holder.ts";
import { availableTokens, emptyForMs } from "./lease-holder.ts";

const DEMAND_WINDOW_MS = 100;

/** Counts the tokens that a request wants, whether or not it gets them. */
export function recordDemand({ demand }: LeaseHolder, cost: number, nowMs: number): void {
  advanceWindow(demand, nowMs);
  demand.current += cost;
}

/** Whether to request tokens before any request has to wait, after a request of this cost has been served. */
export function shouldPrefetch(holder: LeaseHolder, cost: number, nowMs: number): boolean {
  if (holder.inFlight !== undefined || aheadTokens(holder, cost, nowMs) === 0) return false;
  if (emptyForMs(holder, 1, nowMs) > 0 || nowMs < holder.counter.noAheadUntilMs) return false;
  return availableTokens(holder, nowMs) < (demandTokens(holder, nowMs) - cost) / 2;
}

/**
 * Tokens to request ahead of need: twice the demand of the last 100 ms without the current requests, at most a tenth of the
 * capacity, so none for small buckets. A single request thus leases only its cost, and nothing has to be returned.
 */
export function aheadTokens(holder: LeaseHolder, currentTokens: number, nowMs: number): number {
  const { capacity, leased } = holder.limit;
  const further = Math.max(0, demandTokens(holder, nowMs) - currentTokens);
  return leased ? Math.min(Math.ceil(2 * further), Math.floor(capacity / 10)) : 0;
}

/** The demand of the last 100 ms: the current window, and the part of the previous one that is in the span. */
function demandTokens({ demand }: LeaseHolder, nowMs: number): number {
  advanceWindow(demand, nowMs);
  const passed = (nowMs - demand.windowStartMs) / DEMAND_WINDOW_MS;
  return demand.current + demand.previous * (1 - passed);
}

function advanceWindow(demand: LeaseHolder["demand"], nowMs: number): void {
  const windows = Math.floor((nowMs - demand.windowStartMs) / DEMAND_WINDOW_MS);
  if (windows <= 0) return;
  demand.previous = windows === 1 ? demand.current : 0;
  demand.current = 0;
  demand.windowStartMs += windows * DEMAND_WINDOW_MS;
}
