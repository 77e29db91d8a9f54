import { createClockCache } from "../cache/clock-cache.ts";
import type { LeaseReply, LeaseRequest, Settlement } from "../limits/leased-bucket.ts";
import type { QuotaDebtsPorts } from "./quota-debts.ts";
import { createQuotaDebts } from "./quota-debts.ts";
import type { QuotaDemand } from "./quota-demand.ts";
import { countsRequests, unitLimit } from "./quota-demand.ts";
import type { QuotaLook } from "./quota-look.ts";
import { createQuotaLook } from "./quota-look.ts";
import type { QuotaCharge, QuotaReply, QuotaStep, Threshold } from "./quota-step.ts";
import { sendInWindow } from "./send-in-window.ts";

/** A subject has used this much of a quota in a window. Reported once, by the instance whose step crosses it. */
export interface QuotaThreshold extends Pick<QuotaDemand, "quota" | "subject" | "mode"> {
  readonly percent: Threshold;
  /** The start of the window, in milliseconds. */
  readonly windowMs: number;
}

export interface QuotaExchangePorts extends Omit<QuotaDebtsPorts, "observe"> {
  /** `faults.quotas` of the policy. */
  readonly fault: () => "count" | "deny";
  readonly delayMs: (ms: number) => Promise<void>;
  readonly onThreshold?: (threshold: QuotaThreshold) => void;
  /**
   * `expired`: units of leases whose holder did not report their end; they count as used. `counted`: units that were admitted without
   * the store. `posted` and `lost`: those of them that the store has counted, or never will.
   */
  readonly observe?: (event: "expired" | "counted" | "posted" | "lost", units: number) => void;
}

/** The messages between an instance and the counters, and what it counts while they are unavailable. */
export interface QuotaExchange extends Pick<QuotaLook, "look" | "isExhausted"> {
  /** Settles leases and requests units. Rejects if the store did not respond. Waits for the next window if this one is ending. */
  step(
    demand: QuotaDemand,
    settlements: readonly Settlement[],
    request: LeaseRequest | undefined,
  ): Promise<LeaseReply>;
  /** How to decide a request while the counter is unavailable. `exhausted`: its window is known to have less left than the cost. */
  withoutStore(demand: QuotaDemand, cost: number): "count" | "deny" | "exhausted";
  /** Counts units that were admitted without the store. They are posted later. */
  count(demand: QuotaDemand, cost: number): void;
  /**
   * Counts what a request has used of a unit, known after its response. Its counter remembers it, so it may be repeated. Rejects if
   * the store did not respond.
   */
  charge(demand: QuotaDemand, charge: QuotaCharge): Promise<QuotaReply["charged"]>;
  /** Units that are to be charged and that no counter has counted yet, for {@link look}; negative once one has. */
  charging(demand: QuotaDemand, units: number): void;
  /** Posts what was counted. Rejects if the store does not respond; what it did not answer stays. */
  post(): Promise<void>;
  /** Call it when the store may have lost writes: what was posted recently is posted again. */
  replay(): void;
  /** The number of subjects and windows that wait to be posted. */
  waiting(): number;
  /** Forgets what is known about a counter that was reset, and what was posted to it. */
  forget(counterId: string): void;
}

/** How often a request waits for the end of a window. Timers may end early, and the store's clock may step back. */
const MAX_WAITS = 3;

/** Counters whose use is remembered for the time without the store. */
const MAX_REMEMBERED = 100_000;

/** The least that a counter is known to have used in its newest known window. */
interface KnownUse {
  windowMs: number;
  units: number;
}

export function createQuotaExchange(ports: QuotaExchangePorts): QuotaExchange {
  const known = createKnownUse();
  const debts = createQuotaDebts(ports);
  const onReply = ({ counterId, quota, subject, mode }: QuotaDemand, reply: QuotaReply) => {
    const { windowMs, used, expiredUnits, crossed } = reply;
    if (countsRequests(quota)) known.atLeast(counterId, windowMs, used);
    else known.exactly(counterId, windowMs, used);
    if (expiredUnits > 0) ports.observe?.("expired", expiredUnits);
    if (crossed !== 0) ports.onThreshold?.({ quota, subject, mode, percent: crossed, windowMs });
  };
  const send: SendStep = async (demand, step) => {
    const { counterId, quota, extra, calendar } = demand;
    const reply = await sendInWindow(ports, counterId, calendar, { ...step, limit: quota.limit, extra });
    onReply(demand, reply);
    return reply;
  };
  const look = createQuotaLook({ ...ports, read: (demand) => send(demand, { settlements: [] }) });
  return {
    ...createCharging(ports, look, send),
    async step(demand, settlements, request) {
      let reply = await send(demand, { settlements, request });
      for (let waits = 0; reply.isEnding && waits < MAX_WAITS; waits++) {
        await ports.delayMs(reply.leftUs / 1000 + 1);
        reply = await send(demand, { settlements: [], request });
      }
      return leaseReply(demand, reply);
    },
    withoutStore(demand, cost) {
      const nowMs = ports.storeNowMs();
      const used = known.units(demand.counterId, demand.calendar(nowMs).startMs);
      if (used + cost > unitLimit(demand, nowMs)) return "exhausted";
      return ports.fault();
    },
    count({ counterId, calendar }, cost) {
      const windowMs = calendar(ports.storeNowMs()).startMs;
      known.atLeast(counterId, windowMs, known.units(counterId, windowMs) + cost);
      debts.add(counterId, calendar, windowMs, cost);
      ports.observe?.("counted", cost);
    },
    post: debts.post,
    replay: debts.replay,
    waiting: debts.waiting,
    forget(counterId) {
      known.forget(counterId);
      debts.forget(counterId);
      look.forget(counterId);
    },
  };
}

type SendStep = (
  demand: QuotaDemand,
  step: Pick<QuotaStep, "settlements" | "request" | "charge">,
) => Promise<QuotaReply>;

/** The part of the exchange for units that are charged after the response. */
function createCharging(
  { monotonicMs }: Pick<QuotaExchangePorts, "monotonicMs">,
  { look, isExhausted, waiting, onReply }: QuotaLook,
  send: SendStep,
): Pick<QuotaExchange, "look" | "isExhausted" | "charging" | "charge"> {
  return {
    look,
    isExhausted,
    charging: ({ counterId }, units) => waiting(counterId, units),
    async charge(demand, charge) {
      const sentMs = monotonicMs();
      const reply = await send(demand, { settlements: [], charge });
      onReply(demand.counterId, reply, sentMs);
      return reply.charged;
    },
  };
}

function leaseReply({ quota }: QuotaDemand, reply: QuotaReply): LeaseReply {
  return {
    grantedTokens: reply.grantedUnits,
    waitUs: reply.leftUs,
    // The charge of a request returns what it has not used of its reservation.
    leasesOutstanding: reply.leased > 0 || !countsRequests(quota),
    counter: { lifeUs: reply.lifeUs, freeUnits: reply.freeUnits },
  };
}

function createKnownUse() {
  const byCounter = createClockCache<string, KnownUse>(MAX_REMEMBERED);
  return {
    units(counterId: string, windowMs: number): number {
      const use = byCounter.get(counterId);
      return use !== undefined && use.windowMs >= windowMs ? use.units : 0;
    },
    atLeast(counterId: string, windowMs: number, units: number): void {
      const use = byCounter.get(counterId);
      if (use === undefined || use.windowMs < windowMs) byCounter.set(counterId, { windowMs, units });
      else if (use.windowMs === windowMs && use.units < units) use.units = units;
    },
    /** For a counter whose use can decrease, because reservations are returned. */
    exactly: (counterId: string, windowMs: number, units: number) =>
      byCounter.set(counterId, { windowMs, units }),
    forget: (counterId: string) => byCounter.delete(counterId),
  };
}
