import type { LimitList } from "../policy/policy.ts";
import type { Route } from "../policy/route-table.ts";
import type { QuotaDemand } from "../quotas/quota-demand.ts";
import type { ChargeGrant } from "./charge-ticket.ts";

/** What a route charges to the quotas of a key. */
export interface RouteCharges {
  /** The quotas of the units that the route charges. They are looked at. */
  readonly looked: readonly QuotaDemand[];
  /** The quotas that the route reserves from. */
  readonly reserving: readonly QuotaDemand[];
  readonly grant: ChargeGrant;
}

/** @param charged all quotas of the key of other units than requests. Undefined if the route charges none of them. */
export type ChargesOf = (
  route: Route,
  limits: LimitList,
  charged: readonly QuotaDemand[],
) => RouteCharges | undefined;

export function createChargesOf(): ChargesOf {
  // Routes of a policy, then lists of limits: overrides have lists of their own, so both are forgotten with their policy.
  const grants = new WeakMap<Route, WeakMap<LimitList, ChargeGrant>>();
  const kept = (route: Route, limits: LimitList, quotas: readonly QuotaDemand[]): ChargeGrant => {
    const ofRoute = grants.get(route) ?? new WeakMap<LimitList, ChargeGrant>();
    grants.set(route, ofRoute);
    const grant = ofRoute.get(limits) ?? grantOf(route, quotas);
    ofRoute.set(limits, grant);
    return grant;
  };
  return (route, limits, charged) => {
    const quotas = charged.filter(({ quota }) => route.charges.includes(quota.unit));
    if (quotas.length === 0) return undefined;
    const reserves = ({ quota }: QuotaDemand) => quota.unit === route.reserve?.unit;
    return {
      looked: quotas.filter((demand) => !reserves(demand)),
      reserving: quotas.filter(reserves),
      grant: kept(route, limits, quotas),
    };
  };
}

function grantOf({ mode, label, charges, reserve }: Route, quotas: readonly QuotaDemand[]): ChargeGrant {
  const units = charges.filter((unit) => quotas.some(({ quota }) => quota.unit === unit));
  const reserved = quotas.filter(({ quota }) => quota.unit === reserve?.unit).map(({ quota }) => quota.name);
  return {
    mode,
    route: label,
    units,
    ...(reserve && reserved.length > 0 && { reserved: { ...reserve, quotas: reserved } }),
  };
}
