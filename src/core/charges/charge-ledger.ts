import type { QuotaDemand } from "../quotas/quota-demand.ts";
import type { QuotaExchange } from "../quotas/quota-exchange.ts";
import type { QuotaCharge, QuotaReply } from "../quotas/quota-step.ts";

export type ChargeOutcome = NonNullable<QuotaReply["charged"]>;

/** One charge to one counter. */
export interface CounterCharge {
  readonly demand: QuotaDemand;
  readonly charge: QuotaCharge;
  /** Called once, when the counter has answered. */
  readonly onOutcome: (outcome: ChargeOutcome) => void;
}

export interface ChargeLedger {
  /** Sends a charge to its counter, and keeps it until the counter answers. Returns false if too many wait. */
  add(charge: CounterCharge): boolean;
  /** Waits for those on their way, and sends the charges again whose counter did not answer. Rejects if one of them is not answered again; it stays. */
  post(): Promise<void>;
  /** The number of charges without an answer. */
  waiting(): number;
}

export interface ChargeLedgerPorts {
  readonly counters: Pick<QuotaExchange, "charge" | "charging">;
  /** 100,000 by default. */
  readonly maxWaiting?: number;
}

const MAX_WAITING = 100_000;
/** After an outage, the charges that wait must not occupy the store for long. */
const POSTED_AT_ONCE = 500;

/** Charges wait in memory while their counter is unavailable. A repetition counts once, because each charge has an id. */
export function createChargeLedger({ counters, maxWaiting = MAX_WAITING }: ChargeLedgerPorts): ChargeLedger {
  const inFlight = new Set<Promise<unknown>>();
  const unanswered = new Set<CounterCharge>();
  /** Rejects if the counter does not answer. */
  const send = async (sent: CounterCharge): Promise<void> => {
    const { demand, charge, onOutcome } = sent;
    const outcome = await counters.charge(demand, charge);
    unanswered.delete(sent);
    counters.charging(demand, -excess(charge));
    if (outcome !== undefined) onOutcome(outcome);
  };
  return {
    add(added) {
      if (inFlight.size + unanswered.size >= maxWaiting) return false;
      counters.charging(added.demand, excess(added.charge));
      const sent: Promise<unknown> = send(added)
        .catch(() => unanswered.add(added))
        .finally(() => inFlight.delete(sent));
      inFlight.add(sent);
      return true;
    },
    async post() {
      await Promise.all(inFlight);
      const all = [...unanswered];
      const failed = new Set<string>();
      for (let start = 0; start < all.length; start += POSTED_AT_ONCE) {
        const next = all.slice(start, start + POSTED_AT_ONCE);
        const portion = next.filter(({ demand }) => !failed.has(demand.counterId));
        const sent = await Promise.allSettled(portion.map(send));
        const again = portion.filter((_, index) => sent[index]?.status === "rejected");
        for (const { demand } of again) failed.add(demand.counterId);
        if (again.length > 0 && again.length === portion.length) break;
      }
      if (failed.size === 0) return;
      // Behind the others, whose counters may respond. Those of a counter stay in their order: the first one of a decision counts.
      const behind = [...unanswered].filter(({ demand }) => failed.has(demand.counterId));
      for (const one of behind) unanswered.delete(one);
      for (const one of behind) unanswered.add(one);
      throw new Error(`the store did not answer for ${failed.size} counters`);
    },
    waiting: () => inFlight.size + unanswered.size,
  };
}

/** What the charge adds at least, while its counter has not answered. */
function excess({ amount, reserved }: QuotaCharge): number {
  return Math.max(0, amount - reserved);
}
