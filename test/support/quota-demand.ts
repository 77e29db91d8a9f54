import { expect } from "vitest";
import type { Quota } from "../../src/core/policy/policy.ts";
import { createCalendars } from "../../src/core/quotas/calendar.ts";
import type { QuotaDemand } from "../../src/core/quotas/quota-demand.ts";
import { allQuotaDemands } from "../../src/core/quotas/quota-demand.ts";

/** As in a process: one calendar for each kind of window. */
const calendars = createCalendars();

/** The demand of one key on a quota: 50 requests a day, unless the members say otherwise. */
export function quotaDemand(more: Partial<Quota> = {}): QuotaDemand {
  const quota: Quota = {
    name: "q",
    per: "key",
    limit: 50,
    every: "day",
    timeZone: "UTC",
    unit: "requests",
    ...more,
  };
  const [demand] = allQuotaDemands([quota], { family: "f", role: "r" }, calendars);
  return demand ?? expect.unreachable();
}
