import type { RouteCharges } from "../charges/charge-grants.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { chain } from "../maybe-promise.ts";
import type { Route } from "../policy/route-table.ts";
import type { LimitDemands } from "./limit-demands.ts";
import type { ChargedQuotas, LimitStore, TakeOutcome } from "./ports.ts";

const UNAVAILABLE: TakeOutcome = { ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] };
const NOTHING_LOOKED: TakeOutcome = { ok: true, rates: [] };

/**
 * Takes what a request of a charging route costs and reserves. Looks at the quotas that are charged after the response first, because
 * that takes nothing.
 */
export function takeCharged(
  ports: { readonly buckets: LimitStore; readonly charged?: ChargedQuotas },
  { cost, reserve }: Pick<Route, "cost" | "reserve">,
  { buckets, quotas }: LimitDemands,
  { looked, reserving }: RouteCharges,
  nowMs: number,
): MaybePromise<TakeOutcome> {
  const look = looked.length === 0 ? NOTHING_LOOKED : (ports.charged?.look(looked, nowMs) ?? UNAVAILABLE);
  return chain(look, (found) => {
    if (!found.ok) return found;
    const taking = ports.buckets.take(buckets, cost, nowMs, [...quotas, ...reserving], reserve?.amount);
    return chain(taking, (taken) => ({ ...taken, rates: [...taken.rates, ...found.rates] }));
  });
}
