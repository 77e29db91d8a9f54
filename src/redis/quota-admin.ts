import type { QuotaAdmin, QuotaLevel } from "../core/limits/ports.ts";
import { MICRO } from "../core/limits/token-bucket.ts";
import type { CounterUse, QuotaCounter } from "../core/quotas/quota-counter.ts";
import { counterUse, isIntact, newCounter } from "../core/quotas/quota-counter.ts";
import type { QuotaDemand } from "../core/quotas/quota-demand.ts";
import { quotaLevel } from "../core/quotas/quota-store.ts";
import { counterIdOf, QUOTA_PATTERN } from "./copied-names.ts";
import type { DropLeases } from "./drop-leases.ts";
import { pairs, texts } from "./replies.ts";
import type { SpreadClient } from "./spread-client.ts";

/** Counters that are read together: few enough not to delay Checks. */
const PORTION = 100;

/** Reads and resets the counters of quotas. */
export function createQuotaAdmin(spread: SpreadClient, dropLeases: DropLeases): QuotaAdmin {
  const at = ({ counterId }: QuotaDemand, name: "TIME" | "HGETALL" | "DEL") => {
    const key = spread.keys.quota(counterId);
    return spread.commandAt(key, name, ...(name === "TIME" ? [] : [key]));
  };
  const level = async (demand: QuotaDemand): Promise<QuotaLevel> => {
    const [seconds = "0", micros = "0"] = texts(await at(demand, "TIME"));
    const counter = counterFrom(pairs(await at(demand, "HGETALL")));
    return quotaLevel(demand, counter, Number(seconds) * MICRO + Number(micros));
  };
  const use = async (counterId: string): Promise<CounterUse> => {
    const name = spread.keys.quota(counterId);
    return counterUse(counterId, counterFrom(pairs(await spread.commandAt(name, "HGETALL", name))));
  };
  return {
    async *uses() {
      for await (const names of spread.scan(QUOTA_PATTERN)) {
        const counterIds = names
          .map((name) => counterIdOf(spread.keys, name))
          .filter((id) => id !== undefined);
        for (let start = 0; start < counterIds.length; start += PORTION)
          yield Promise.all(counterIds.slice(start, start + PORTION).map(use));
      }
    },
    levels: (demands) => Promise.all(demands.map(level)),
    async reset(demands) {
      const counterIds = demands.map(({ counterId }) => counterId);
      if (counterIds.length === 0) return;
      // As with buckets: before, so that a failure in between resets no counter whose leases go on, and after.
      await dropLeases(counterIds);
      await Promise.all(demands.map((demand) => at(demand, "DEL")));
      await dropLeases(counterIds);
    },
  };
}

/** Decodes a counter that quota.lua has written. A missing or damaged one has counted nothing. */
export function counterFrom(fields: readonly (readonly [string, string])[]): QuotaCounter {
  const byName = new Map(fields);
  const [windowMs, used] = [Number(byName.get("window") ?? "x"), Number(byName.get("used") ?? "x")];
  const counter = newCounter();
  if (!isIntact({ windowMs, used })) return counter;
  for (const [name, value] of fields) {
    const [, units, deadlineUs] = /^(\d{1,13}) (\d{1,15}|[1-8]\d{15})$/.exec(value) ?? [];
    if (!name.startsWith("l:") || units === undefined) continue;
    counter.leases.set(name.slice(2), { units: Number(units), deadlineUs: Number(deadlineUs) });
  }
  const limit = Number(byName.get("limit") ?? 0);
  return { ...counter, windowMs, used, limit: Number.isSafeInteger(limit) ? limit : 0 };
}
