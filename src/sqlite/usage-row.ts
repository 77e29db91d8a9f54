import { z } from "zod";
import type { UsageRecord } from "../core/usage/ports.ts";
import type { UsageTotals } from "../core/usage/usage-amount.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";

const whole = z.int().min(0);
const counts = z.tuple([whole, whole, whole]);
const stored = z.object({
  t: counts,
  c: whole,
  u: z.array(z.tuple([z.string(), whole])).optional(),
  r: z.array(z.tuple([z.string(), counts])).optional(),
});

type Counts = z.output<typeof counts>;

/** Usage as JSON: `t` (allowed, denied, limited), `c` (cost), `u` (units) and `r` (routes). */
export function encodeUsage({ requests, cost, units, routes }: UsageTotals): string {
  const list = ({ allowed, denied, limited }: UsageTotals["requests"]): Counts => [allowed, denied, limited];
  const usage: z.output<typeof stored> = {
    t: list(requests),
    c: cost,
    ...(units.size > 0 && { u: [...units] }),
    ...(routes.size > 0 && { r: [...routes].map(([label, requests]) => [label, list(requests)]) }),
  };
  return JSON.stringify(usage);
}

/** From the columns `at` and `usage`. Throws if only a damaged file can explain them. */
export function usageFrom(row: Row): UsageRecord {
  const { t, c, u, r = [] } = stored.parse(JSON.parse(text(row, "usage")));
  const requests = ([allowed, denied, limited]: Counts) => ({ allowed, denied, limited });
  return {
    at: integer(row, "at"),
    requests: requests(t),
    cost: c,
    units: new Map(u),
    routes: new Map(r.map(([label, list]) => [label, requests(list)])),
  };
}
