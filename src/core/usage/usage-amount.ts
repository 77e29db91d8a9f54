import type { NamedValues } from "../cache/short-map.ts";
import { ShortMap } from "../cache/short-map.ts";

/** What became of a request: `limited` if only a limit or a quota was in its way. */
export const USAGE_OUTCOMES = ["allowed", "denied", "limited"] as const;
export type UsageOutcome = (typeof USAGE_OUTCOMES)[number];

/** Numbers of requests. */
export type OutcomeCounts = Record<UsageOutcome, number>;

/** What a family has used. All numbers are whole and at least 0. */
export interface UsageTotals {
  readonly requests: OutcomeCounts;
  /** The sum of the costs of its allowed requests, which is what limits and quotas of requests count. */
  cost: number;
  /** Amounts of units that were charged after the response, by unit. */
  readonly units: NamedValues<number>;
  /** The requests by the label of their route: at most {@link MAX_ROUTES}, and {@link OTHER_ROUTES}. */
  readonly routes: NamedValues<OutcomeCounts>;
}

/** What an instance has counted for a family within one hour. */
export interface UsageAmount extends UsageTotals {
  /** The owner of the family: the family itself without another one. */
  owner: string;
}

/** Routes per family and day. A policy can have thousands. */
export const MAX_ROUTES = 20;
export const OTHER_ROUTES = "other";

export function noUsage(): UsageTotals {
  return { requests: noRequests(), cost: 0, units: new Map(), routes: new Map() };
}

/** The same for one family of many: of few routes, and seldom of any unit. */
export function noAmount(owner: string): UsageAmount {
  return { owner, requests: noRequests(), cost: 0, units: new ShortMap(), routes: new ShortMap() };
}

function noRequests(): OutcomeCounts {
  return { allowed: 0, denied: 0, limited: 0 };
}

/** The counts of a route. A further route than the maximum counts as {@link OTHER_ROUTES}. */
export function countsOfRoute(routes: NamedValues<OutcomeCounts>, label: string): OutcomeCounts {
  const known = routes.get(label);
  if (known !== undefined) return known;
  const isFull = routes.size - (routes.has(OTHER_ROUTES) ? 1 : 0) >= MAX_ROUTES;
  const name = isFull ? OTHER_ROUTES : label;
  const counts = routes.get(name) ?? noRequests();
  routes.set(name, counts);
  return counts;
}

/** Adds the second to the first, which it changes and returns. */
export function mergeUsage(into: UsageAmount, more: UsageAmount): UsageAmount {
  into.owner = more.owner;
  addUsage(into, more);
  return into;
}

export function addUsage(into: UsageTotals, more: UsageTotals): void {
  addTotals(into, more);
  for (const [label, counts] of more.routes) addRequests(countsOfRoute(into.routes, label), counts);
}

/** Adds everything but the routes. */
export function addTotals(into: UsageTotals, more: UsageTotals): void {
  addRequests(into.requests, more.requests);
  into.cost = sumOf(into.cost, more.cost);
  for (const [unit, amount] of more.units) into.units.set(unit, sumOf(into.units.get(unit) ?? 0, amount));
}

/** A policy can have a cost of any whole number. A larger sum could not be read again. `redis/scripts/usage.lua` does the same. */
function sumOf(one: number, other: number): number {
  return Math.min(one + other, Number.MAX_SAFE_INTEGER);
}

export function addRequests(into: OutcomeCounts, more: OutcomeCounts): void {
  for (const outcome of USAGE_OUTCOMES) into[outcome] += more[outcome];
}

export function totalRequests({ allowed, denied, limited }: OutcomeCounts): number {
  return allowed + denied + limited;
}
