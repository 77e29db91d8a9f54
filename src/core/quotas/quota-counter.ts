import { LEASE_LIFE_US } from "../limits/leased-bucket.ts";
import { judgePosting } from "../postings/posting.ts";
import type { Windows } from "./calendar.ts";
import { HOUR_MS } from "./calendar.ts";
import type { RememberCharge } from "./quota-charge.ts";
import { chargedUnits, isVoidCharge } from "./quota-charge.ts";
import type { QuotaCharge, QuotaReply, QuotaStep, Threshold, UnitRequest } from "./quota-step.ts";

/**
 * The counter of a quota for one subject. `redis/scripts/quota.lua` does the same in one step. The counter keeps what is used and
 * its outstanding leases, and grants at most what is left. So all leases of a window together never exceed the limit.
 */
export interface QuotaCounter {
  /** The start of the window that it counts, in milliseconds. */
  windowMs: number;
  /**
   * Whole units. It may exceed the limit: a posting is never denied, and another limit may apply now. It is negative while a charge
   * has returned units of a reservation whose lease is still outstanding.
   */
  used: number;
  /** The limit of the last step but a posting, with extra units. It only informs operators. 0: none was stored. */
  limit: number;
  /** The highest threshold that was reported in this window. */
  reported: Threshold | 0;
  /** The outstanding leases, by id. */
  readonly leases: Map<string, QuotaLease>;
  /** The number of the last posting of each instance. */
  readonly posted: Map<string, number>;
}

export interface QuotaLease {
  readonly units: number;
  /** Microseconds of the store's clock from which the lease counts as spent. */
  readonly deadlineUs: number;
}

/** A shorter lease is not granted: the holder's margins would leave nothing of it. */
export const MIN_LIFE_US = 20_000;
const AHEAD_PART = 100;
/** A larger integer may not arrive exactly from Redis. */
const MAX_USED = 2 ** 52;
/** Up to here, the end of a window in microseconds is a safe integer. */
const MAX_WINDOW_MS = 2 ** 43;

/** A counter that has counted nothing yet, in any window. */
export function newCounter(): QuotaCounter {
  return { windowMs: -1, used: 0, limit: 0, reported: 0, leases: new Map(), posted: new Map() };
}

/** Whether a stored window and its used units are possible. A counter with other ones is damaged, and counts as new. */
export function isIntact({ windowMs, used }: Pick<QuotaCounter, "windowMs" | "used">): boolean {
  const isWindow = Number.isSafeInteger(windowMs) && windowMs >= 0 && windowMs < MAX_WINDOW_MS;
  return isWindow && Number.isSafeInteger(used) && used >= -MAX_USED;
}

/** Used units, with those of outstanding leases. */
export function takenUnits(counter: QuotaCounter): number {
  return Math.min(Math.max(0, counter.used + leasedUnits(counter)), MAX_USED);
}

const REMEMBER_NONE: RememberCharge = () => true;

/**
 * Takes over what another store has counted in a window, and its limit if this one has none for the window.
 * `redis/scripts/copy-quota.lua` does the same. Never lowers a counter.
 */
export function raiseCounter(
  counter: QuotaCounter,
  { windowMs, used, limit }: Pick<QuotaCounter, "windowMs" | "used" | "limit">,
): void {
  if (windowMs < counter.windowMs) return;
  if (windowMs > counter.windowMs) {
    startWindow(counter, windowMs);
    counter.limit = 0;
  }
  counter.used = Math.max(counter.used, used - leasedUnits(counter));
  if (counter.limit === 0) counter.limit = limit;
}

function startWindow(counter: QuotaCounter, windowMs: number): void {
  counter.windowMs = windowMs;
  counter.used = 0;
  counter.reported = 0;
  counter.leases.clear();
  counter.posted.clear();
}

/** A counter as operators see it, under its id. */
export interface CounterUse extends Pick<QuotaCounter, "windowMs" | "used" | "limit"> {
  readonly counterId: string;
  readonly leased: number;
}

export function counterUse(counterId: string, counter: QuotaCounter): CounterUse {
  const { windowMs, used, limit } = counter;
  return { counterId, windowMs, used, limit, leased: leasedUnits(counter) };
}

function freeUnits(counter: QuotaCounter, limit: number): number {
  return Math.max(0, limit - Math.max(0, counter.used + leasedUnits(counter)));
}

function leasedUnits({ leases }: QuotaCounter): number {
  let units = 0;
  for (const lease of leases.values()) units += lease.units;
  return units;
}

/** Changes the counter: enters the window, ends leases, counts a posting and a charge, and grants, in this order. */
export function quotaStep(
  counter: QuotaCounter,
  step: QuotaStep,
  nowUs: number,
  remember: RememberCharge = REMEMBER_NONE,
): QuotaReply {
  const nowMs = Math.floor(nowUs / 1000);
  const { windows, settlements, request, posting, charge } = step;
  if (nowMs < windows.startMs || nowMs >= windows.nextEndMs) return outsideReply(nowMs);
  const [beginMs] = presentWindow(windows, nowMs);
  const endMs = enterWindow(counter, windows, nowMs);
  const leftUs = endMs * 1000 - nowUs;
  const limit = step.limit + extraUnits(counter, step, nowMs);
  // A posting comes without the limit.
  if (posting === undefined) counter.limit = limit;
  const expiredUnits = expire(counter, nowUs);
  for (const { leaseId, unspentTokens } of settlements) settle(counter, leaseId, unspentTokens);
  const posted = posting && post(counter, posting, { beginMs, nowMs });
  const charged = charge && chargeOnce(counter, charge, nowMs, remember);
  const lifeUs = Math.min(LEASE_LIFE_US, leftUs);
  const isEnding = lifeUs < MIN_LIFE_US;
  const granted = request && grant(counter, limit, request, isEnding ? 0 : lifeUs, nowUs);
  const wanted = granted === undefined ? (request?.cost ?? 0) : 0;
  return {
    inWindows: true,
    nowMs,
    windowMs: counter.windowMs,
    leftUs,
    grantedUnits: granted?.units ?? 0,
    lifeUs: granted === undefined ? 0 : granted.deadlineUs - nowUs,
    isEnding: isEnding && wanted > 0 && freeUnits(counter, limit) >= wanted,
    used: Math.max(0, counter.used),
    freeUnits: freeUnits(counter, limit),
    leased: Math.max(0, leasedUnits(counter) + Math.min(0, counter.used)),
    expiredUnits,
    crossed: report(counter, limit),
    posted,
    charged,
  };
}

function outsideReply(nowMs: number): QuotaReply {
  return {
    inWindows: false,
    nowMs,
    windowMs: 0,
    leftUs: 0,
    grantedUnits: 0,
    lifeUs: 0,
    isEnding: false,
    used: 0,
    freeUnits: 0,
    leased: 0,
    expiredUnits: 0,
    crossed: 0,
    posted: undefined,
    charged: undefined,
  };
}

/** Starts a new window if one has begun. Returns the end of the counter's window, which may lie ahead after a step of the clock. */
function enterWindow(counter: QuotaCounter, windows: Windows, nowMs: number): number {
  const [beginMs, overMs] = presentWindow(windows, nowMs);
  if (counter.windowMs < beginMs) startWindow(counter, beginMs);
  if (counter.windowMs < overMs) return overMs;
  return counter.windowMs === windows.endMs ? windows.nextEndMs : counter.windowMs + HOUR_MS;
}

/**
 * A policy can give a quota a longer window, within which that of the counter has begun. The extra units of the longer one apply: an
 * instance reports them to clients.
 */
function extraUnits({ windowMs }: QuotaCounter, { windows, extra }: QuotaStep, nowMs: number): number {
  const [beginMs, overMs] = presentWindow(windows, nowMs);
  return extra?.windowMs === (windowMs < overMs ? beginMs : windowMs) ? extra.units : 0;
}

function presentWindow({ startMs, endMs, nextEndMs }: Windows, nowMs: number): readonly [number, number] {
  return nowMs < endMs ? [startMs, endMs] : [endMs, nextEndMs];
}

function expire(counter: QuotaCounter, nowUs: number): number {
  const { leases } = counter;
  let units = 0;
  for (const [leaseId, lease] of leases) {
    if (lease.deadlineUs <= nowUs) {
      units += lease.units;
      leases.delete(leaseId);
    } else if (lease.deadlineUs > nowUs + LEASE_LIFE_US) {
      // After a backward step of the clock, the rest of a lease is at most its whole life.
      leases.set(leaseId, { units: lease.units, deadlineUs: nowUs + LEASE_LIFE_US });
    }
  }
  counter.used += units;
  return units;
}

function settle(counter: QuotaCounter, leaseId: string, unspentUnits: number): void {
  const lease = counter.leases.get(leaseId);
  if (lease === undefined) return;
  counter.leases.delete(leaseId);
  counter.used += lease.units - Math.min(lease.units, Math.max(0, unspentUnits));
}

/**
 * A posting for a window that has ended is void. One for a window that has not begun by the store's clock gets no answer. A policy
 * can change the windows of a quota, so a window can begin within the present one: what was counted in both belongs to the counter.
 * @param beginMs the start of the present window by the policy; the counter's window may have begun later, or lie ahead
 */
function post(
  counter: QuotaCounter,
  { instanceId, sent }: NonNullable<QuotaStep["posting"]>,
  { beginMs, nowMs }: { readonly beginMs: number; readonly nowMs: number },
): QuotaReply["posted"] {
  const { windowMs } = counter;
  if (sent.window < (windowMs <= nowMs ? beginMs : windowMs)) return "void";
  if (sent.window > Math.max(windowMs, nowMs)) return undefined;
  const judged = judgePosting(counter.posted.get(instanceId) ?? 0, sent);
  if (judged === "repeat") return "counted";
  if (judged === "behind") return "behind";
  counter.posted.set(instanceId, sent.number);
  counter.used = Math.min(counter.used + sent.amount, MAX_USED);
  return "counted";
}

function chargeOnce(
  counter: QuotaCounter,
  charge: QuotaCharge,
  nowMs: number,
  remember: RememberCharge,
): QuotaReply["charged"] {
  const { windowMs } = counter;
  if (isVoidCharge(charge, windowMs)) return "void";
  if (!remember(charge.id, nowMs + charge.keepMs, nowMs)) return "repeat";
  const used = counter.used + chargedUnits(charge, windowMs);
  counter.used = Math.max(-MAX_USED, Math.min(MAX_USED, used));
  return "counted";
}

/** @param lifeUs 0: the window ends too soon for a new lease */
function grant(
  counter: QuotaCounter,
  limit: number,
  { leaseId, cost, waiting, ahead, held }: UnitRequest,
  lifeUs: number,
  nowUs: number,
): QuotaLease | undefined {
  // The request was executed before, so it grants nothing more.
  const before = counter.leases.get(leaseId);
  if (before !== undefined) return before;
  const free = freeUnits(counter, limit);
  if (lifeUs === 0 || free < cost) return undefined;
  const units = Math.max(
    cost,
    Math.min(waiting, free),
    Math.min(ahead, Math.floor(free / AHEAD_PART) - held),
  );
  if (units === 0) return undefined;
  const lease = { units, deadlineUs: nowUs + lifeUs };
  counter.leases.set(leaseId, lease);
  return lease;
}

/** Leased units count: those that requests wait for are spent, and the others are at most 1%. */
function report(counter: QuotaCounter, limit: number): Threshold | 0 {
  const taken = counter.used + leasedUnits(counter);
  const reached = limit === 0 ? 0 : taken >= limit ? 100 : taken * 10 >= limit * 8 ? 80 : 0;
  if (reached <= counter.reported) return 0;
  counter.reported = reached;
  return reached;
}
