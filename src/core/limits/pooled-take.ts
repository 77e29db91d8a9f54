import type { RateStatus } from "../decision/decision.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { chain, chainWith } from "../maybe-promise.ts";
import { countsRequests, unitLimit } from "../quotas/quota-demand.ts";
import type { QuotaExchange } from "../quotas/quota-exchange.ts";
import { exceededQuota, quotaStatus } from "../quotas/quota-status.ts";
import { shouldPrefetch } from "./lease-demand.ts";
import type { LeaseExchange, LeaseExchangePorts, SharedCounter, SharedLimit } from "./lease-exchange.ts";
import { availableTokens, dueInMs, emptyForMs, returnForCost, spendTokens } from "./lease-holder.ts";
import type { BucketDemand, BucketStore, LocalBuckets, TakeOutcome } from "./ports.ts";
import { rateStatus } from "./rate-status.ts";
import { peekOutcome, takeOutcome } from "./retry-after.ts";

export interface PooledTakePorts extends LeaseExchangePorts {
  readonly exchange: LeaseExchange;
  readonly quotas?: Pick<QuotaExchange, "step" | "withoutStore" | "count" | "forget">;
  /** Decides about buckets while the store is unavailable. */
  readonly fallback: BucketStore;
  /** Buckets in this process, which need no leases; absent: all buckets are leased. */
  readonly localBuckets?: LocalBuckets;
}

/** One request that takes from several limits. */
export interface PooledTake {
  readonly ports: PooledTakePorts;
  readonly buckets: readonly BucketDemand[];
  /** The leased ones: the buckets, unless they are local, then the counters. */
  readonly limits: readonly SharedLimit[];
  readonly cost: number;
  /** What it takes from counters of another unit than requests. */
  readonly reserve: number;
  readonly wallMs: number;
  /** Only finds out whether the limits hold the cost. The tokens stay in leases. */
  readonly peeks?: boolean;
}

/** A request that loses the race for granted tokens this often is denied: the limit is contended. */
const MAX_ROUNDS = 16;

/** How long a reply shows that a quota has units left, while a bucket denies the request anyway. */
const FREE_KNOWN_MS = 60_000;

/** What the request takes from this limit. */
export function costOf({ cost, reserve }: PooledTake, { quota }: SharedLimit): number {
  return quota === undefined || countsRequests(quota.quota) ? cost : reserve;
}

/** Spends from all limits of a request, or from none. Requests the tokens that are missing. */
export function attempt(take: PooledTake, round: number, nowMs: number): MaybePromise<TakeOutcome> {
  const { ports, limits } = take;
  const localWaitSeconds = localWait(take);
  if (localWaitSeconds === 0 && areHeld(take, nowMs)) return spendAll(take, nowMs);
  const lacking = limits.filter((shared) => availableTokens(shared.holder, nowMs) < costOf(take, shared));
  for (const shared of lacking) returnForCost(shared.holder, costOf(take, shared), nowMs);
  const empty = localWaitSeconds > 0 || lacking.some((shared) => isEmpty(take, shared, nowMs));
  const needed = empty ? lacking.filter((shared) => isUnknown(take, shared, nowMs)) : lacking;
  if (needed.length === 0 || round === MAX_ROUNDS) return denial(take, lacking, localWaitSeconds, nowMs);
  for (const shared of needed) shared.holder.waiting += costOf(take, shared);
  return requestAll(take, needed).then((isAvailable) => {
    for (const shared of needed) shared.holder.waiting -= costOf(take, shared);
    const againMs = ports.monotonicMs();
    return isAvailable ? attempt(take, round + 1, againMs) : takeWithoutStore(take, againMs);
  });
}

/** Resolves with whether the store has responded for each of these limits. */
function requestAll(take: PooledTake, needed: readonly SharedLimit[]): Promise<boolean> {
  const requests = needed.map((shared) => take.ports.exchange.requestTokens(shared, costOf(take, shared)));
  const [only] = requests;
  // Most requests lack the tokens of one limit, and need no further promises.
  if (only !== undefined && requests.length === 1) return only;
  return Promise.all(requests).then((responded) => !responded.includes(false));
}

/** Creates nothing, because a warm request takes this way. */
function areHeld(take: PooledTake, nowMs: number): boolean {
  for (const shared of take.limits)
    if (availableTokens(shared.holder, nowMs) < costOf(take, shared)) return false;
  return true;
}

function localWait({ ports, buckets, cost, wallMs }: PooledTake): number {
  return ports.localBuckets === undefined ? 0 : ports.localBuckets.waitSeconds(buckets, cost, wallMs);
}

/** Whether the store would deny this cost now. */
function isEmpty(take: PooledTake, shared: SharedLimit, nowMs: number): boolean {
  return isAbove(take, shared) || emptyForMs(shared.holder, costOf(take, shared), nowMs) > 0;
}

function isAbove(take: PooledTake, shared: SharedLimit): boolean {
  const { quota } = shared;
  return quota !== undefined && costOf(take, shared) > unitLimit(quota, take.wallMs);
}

/**
 * Whether the request cannot be denied yet, although a limit is empty: a quota that is exhausted too decides about reason and wait,
 * so that a client that waits is admitted.
 */
function isUnknown(take: PooledTake, shared: SharedLimit, nowMs: number): boolean {
  if (shared.quota === undefined || isEmpty(take, shared, nowMs)) return false;
  const { freeUnits, replyMs } = shared.holder.counter;
  return freeUnits < costOf(take, shared) || nowMs - replyMs > FREE_KNOWN_MS;
}

/** Runs in the same synchronous step as the check of the available tokens. */
function spendAll(take: PooledTake, nowMs: number): TakeOutcome {
  const { ports, limits, cost } = take;
  if (take.peeks) return { ok: true, rates: ratesOf(take, nowMs) };
  for (const shared of limits) spendTokens(shared.holder, costOf(take, shared), nowMs);
  const local = ports.localBuckets?.take(take.buckets, cost, take.wallMs).rates;
  for (const shared of limits)
    if (shouldPrefetch(shared.holder, costOf(take, shared), nowMs)) prefetch(take, shared);
  return { ok: true, rates: ratesOf(take, nowMs, local) };
}

function prefetch({ ports, cost }: PooledTake, shared: SharedLimit): void {
  if (shared.pendingRequest !== undefined) return;
  if (shared.quota === undefined) void ports.exchange.requestTokens(shared, cost);
  // A request ahead of need has no minimum for a quota, so requests that wait must not join it.
  else if (shared.holder.waiting === 0) void ports.exchange.requestTokens(shared, 0);
}

function denial(
  take: PooledTake,
  lacking: readonly SharedLimit[],
  localWaitSeconds: number,
  nowMs: number,
): TakeOutcome {
  const waits = lacking.map((shared) => waitMs(take, shared, nowMs));
  const seconds = Math.max(1, localWaitSeconds, ...waits.map((ms) => Math.ceil(ms / 1000)));
  const isContended = localWaitSeconds === 0 && lacking.every(({ quota }) => quota !== undefined);
  const [longest] = lacking
    .filter((shared) => shared.quota !== undefined && (isContended || isEmpty(take, shared, nowMs)))
    .sort((a, b) => waitMs(take, b, nowMs) - waitMs(take, a, nowMs));
  return quotaOutcome(take, longest, takeOutcome(ratesOf(take, nowMs), seconds));
}

function waitMs(take: PooledTake, shared: SharedLimit, nowMs: number): number {
  const { wallMs } = take;
  if (isAbove(take, shared)) return (shared.quota?.calendar(wallMs).endMs ?? wallMs) - wallMs;
  return dueInMs(shared.holder, costOf(take, shared), nowMs);
}

function quotaOutcome(
  { wallMs }: PooledTake,
  shared: SharedLimit | undefined,
  denied: TakeOutcome,
): TakeOutcome {
  if (denied.ok || shared?.quota === undefined) return denied;
  return { ...denied, reason: "quota_exceeded", quota: exceededQuota(shared.quota, wallMs) };
}

/** Buckets follow `faults.limits`, and quotas `faults.quotas`. What leases cover is spent from them and is not counted. */
function takeWithoutStore(take: PooledTake, nowMs: number): MaybePromise<TakeOutcome> {
  const { ports, limits, cost } = take;
  const lacking = limits.filter((shared) => availableTokens(shared.holder, nowMs) < costOf(take, shared));
  const counters = lacking.filter((shared) => shared.quota !== undefined);
  const decided = counters.map((shared) =>
    isEmpty(take, shared, nowMs)
      ? "exhausted"
      : ports.quotas?.withoutStore(shared.quota, costOf(take, shared)),
  );
  const exhausted = counters[decided.indexOf("exhausted")];
  if (exhausted !== undefined) return exhaustedOutcome(take, exhausted, nowMs);
  if (decided.some((fault) => fault !== "count"))
    return { ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] };
  if (take.peeks) return peekWithoutStore(take);
  const waitSeconds = localWait(take);
  if (waitSeconds > 0) return takeOutcome(ratesOf(take, nowMs), waitSeconds);
  const leased = lacking.length === counters.length;
  if (leased) return countAll(take, nowMs);
  const taken = ports.fallback.take(take.buckets, cost, take.wallMs);
  return chainWith(taken, take, countIfTaken);
}

function peekWithoutStore({ ports, buckets, wallMs }: PooledTake): MaybePromise<TakeOutcome> {
  return chain(ports.fallback.take(buckets, 0, wallMs), (taken) => peekOutcome(buckets, taken));
}

function exhaustedOutcome(take: PooledTake, shared: SharedCounter, nowMs: number): TakeOutcome {
  const endMs = shared.quota.calendar(take.wallMs).endMs;
  const seconds = Math.max(1, Math.ceil((endMs - take.wallMs) / 1000));
  return quotaOutcome(take, shared, takeOutcome(ratesOf(take, nowMs), seconds));
}

/** The buckets have decided. Their tokens did not come from leases. */
function countIfTaken(taken: TakeOutcome, take: PooledTake): TakeOutcome {
  if (!taken.ok) return taken;
  const nowMs = take.ports.monotonicMs();
  const rates = take.limits
    .filter((shared) => shared.quota !== undefined)
    .map((shared) => {
      spendOrCount(take, shared, nowMs);
      return statusOf(shared, take.wallMs, nowMs);
    });
  return { ok: true, rates: [...taken.rates, ...rates] };
}

/** Leases cover the buckets, or they are local. */
function countAll(take: PooledTake, nowMs: number): TakeOutcome {
  const { ports, limits, cost } = take;
  for (const shared of limits) {
    if (shared.quota === undefined) spendTokens(shared.holder, cost, nowMs);
    else spendOrCount(take, shared, nowMs);
  }
  const local = ports.localBuckets?.take(take.buckets, cost, take.wallMs).rates;
  return { ok: true, rates: ratesOf(take, nowMs, local) };
}

function spendOrCount(take: PooledTake, shared: SharedCounter, nowMs: number): void {
  const { ports } = take;
  const { holder, quota } = shared;
  const cost = costOf(take, shared);
  if (availableTokens(holder, nowMs) >= cost) spendTokens(holder, cost, nowMs);
  else ports.quotas?.count(quota, cost);
}

/** What remains is what this instance knows to be left: a lower bound, because other instances may hold more. */
export function ratesOf(
  take: PooledTake,
  nowMs: number,
  local: readonly RateStatus[] = localRates(take),
): readonly RateStatus[] {
  const { limits, wallMs } = take;
  const rates = new Array<RateStatus>(limits.length);
  let at = 0;
  for (const shared of limits) rates[at++] = statusOf(shared, wallMs, nowMs);
  return local.length === 0 ? rates : [...local, ...rates];
}

const NO_RATES: readonly RateStatus[] = [];

function localRates({ ports, buckets, wallMs }: PooledTake): readonly RateStatus[] {
  return ports.localBuckets?.take(buckets, 0, wallMs).rates ?? NO_RATES;
}

function statusOf(shared: SharedLimit, wallMs: number, nowMs: number): RateStatus {
  const heldTokens = availableTokens(shared.holder, nowMs);
  if (shared.quota === undefined) return rateStatus(shared.limit, heldTokens);
  return quotaStatus(shared.quota, shared.holder.counter.freeUnits + heldTokens, wallMs);
}
