import { setTimeout as delay } from "node:timers/promises";
import type { BudgetSurveys } from "../api/admin/budget-routes.ts";
import { planUseRun } from "../core/keys/count-plans.ts";
import type { Registry } from "../core/keys/registry.ts";
import { nearLimitsRun } from "../core/quotas/near-limits.ts";
import type { SurveyTimes } from "../core/survey/survey.ts";
import { createSurveys } from "../core/survey/survey.ts";
import { topUsageRun } from "../core/usage/top-usage.ts";
import { dayOfHour, hourAt } from "../core/usage/usage-time.ts";
import type { Stores } from "./ports.ts";
import type { Runtime } from "./runtime.ts";

/** A page is reloaded often, and each run reads the whole store. */
const KEYS: SurveyTimes = { maxAgeMs: 60_000, waitMs: 1000 };
const COUNTERS: SurveyTimes = { maxAgeMs: 10_000, waitMs: 1000 };
const USAGE: SurveyTimes = { maxAgeMs: 60_000, waitMs: 1000 };

export interface SurveyDeps {
  readonly registry: Registry;
  readonly stores: Pick<Stores, "quotaAdmin" | "usage">;
}

/** What operators count by reading the whole store, in the background. */
export function openSurveys(
  { shutdown, clock }: Pick<Runtime, "shutdown" | "clock">,
  { registry, stores }: SurveyDeps,
): BudgetSurveys {
  const open = () => {
    const surveys = createSurveys({
      nowMs: clock.nowMs,
      monotonicMs: () => performance.now(),
      delayMs: (ms) => delay(ms),
    });
    shutdown.defer("the counts for operators", surveys.stop);
    return surveys;
  };
  // During an incident, the quotas near their end must not wait for the usage of a month.
  const [urgent, others] = [open(), open()];
  const topUsage = (days: number) =>
    others.add(() => {
      const today = dayOfHour(hourAt(clock.storeNowMs()));
      const span = { from: today + 1 - days, to: today + 1 };
      const { soFar, read } = topUsageRun(stores.usage, span);
      return { soFar: () => ({ ...soFar(), span }), read };
    }, USAGE);
  return {
    planUse: others.add(() => planUseRun(registry), KEYS),
    nearLimits: urgent.add(
      () => nearLimitsRun(stores.quotaAdmin, registry.policy, clock.storeNowMs),
      COUNTERS,
    ),
    topUsage: { 1: topUsage(1), 7: topUsage(7), 30: topUsage(30) },
  };
}
