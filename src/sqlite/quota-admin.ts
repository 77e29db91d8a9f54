import type { QuotaAdmin } from "../core/limits/ports.ts";
import { newCounter } from "../core/quotas/quota-counter.ts";
import { quotaLevel } from "../core/quotas/quota-store.ts";
import type { EmbeddedQuotas } from "./threaded-store.ts";

/** Counters per call: other calls of the store wait behind it. */
const PORTION = 500;

export interface QuotaAdminDeps {
  readonly quotas: Pick<EmbeddedQuotas, "read" | "page" | "reset">;
  readonly nowMs: () => number;
  /** Drops this process's leases on a counter. */
  readonly forget: (counterId: string) => void;
}

/** Reads and resets the counters of quotas. */
export function createQuotaAdmin({ quotas, nowMs, forget }: QuotaAdminDeps): QuotaAdmin {
  return {
    async *uses() {
      let after = "";
      for (;;) {
        const page = await quotas.page(after, PORTION);
        const last = page.at(-1);
        if (last === undefined) return;
        yield page;
        after = last.counterId;
      }
    },
    async levels(demands) {
      if (demands.length === 0) return [];
      const counters = await quotas.read(demands.map(({ counterId }) => counterId));
      const nowUs = nowMs() * 1000;
      return demands.map((demand, index) => quotaLevel(demand, counters[index] ?? newCounter(), nowUs));
    },
    async reset(demands) {
      const counterIds = demands.map(({ counterId }) => counterId);
      if (counterIds.length === 0) return;
      await quotas.reset(counterIds);
      for (const counterId of counterIds) forget(counterId);
    },
  };
}
