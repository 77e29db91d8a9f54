import type { ChargedUnit } from "../core/policy/policy.ts";
import type { Route } from "../core/policy/route-table.ts";
import type { Problem } from "./problem.ts";
import type { LimitsDocument } from "./quota-problems.ts";
import { placedQuotas } from "./quota-problems.ts";
import type { PolicyDocument } from "./schema.ts";
import { didYouMean } from "./suggestion.ts";

type UnitDocument = Pick<PolicyDocument, "units"> & {
  readonly routes: NonNullable<PolicyDocument["routes"]>;
};

/** The unit of quotas that every Check counts. */
const REQUESTS = "requests";

/** Converts `units`. */
export function toUnits({ units }: Pick<PolicyDocument, "units">): ReadonlyMap<string, ChargedUnit> {
  return new Map(
    Object.entries(units).map(
      ([name, { max_charge: maxCharge, charge_within: within, reserve_for: reserved }]) => [
        name,
        {
          ...(maxCharge !== undefined && { maxCharge }),
          chargeWithinMs: within * 1000,
          reserveForMs: reserved * 1000,
        },
      ],
    ),
  );
}

/** Checks of the units, and of the routes that charge them, which the schema cannot express. */
export function* unitProblems({ units, routes }: UnitDocument): Generator<Problem> {
  if (Object.hasOwn(units, REQUESTS))
    yield { path: ["units", REQUESTS], message: "is counted by every Check: choose another name" };
  for (const [position, route] of routes.entries()) {
    const at = ["routes", position];
    yield* chargeProblems(route.charge, Object.keys(units), [...at, "charge"]);
    if (route.public && route.charge.length > 0)
      yield { path: [...at, "charge"], message: "a public route has no key that could be charged" };
    yield* reserveProblems(route, units, [...at, "reserve"]);
  }
}

function* chargeProblems(
  charged: readonly string[],
  known: readonly string[],
  at: readonly PropertyKey[],
): Generator<Problem> {
  for (const [index, name] of charged.entries()) {
    if (!known.includes(name))
      yield {
        path: [...at, index],
        message: `unknown unit "${name}"${didYouMean(name, known) || ": add it to units"}`,
      };
    if (charged.indexOf(name) !== index) yield { path: [...at, index], message: `a second "${name}"` };
  }
}

function* reserveProblems(
  { charge, reserve }: UnitDocument["routes"][number],
  units: UnitDocument["units"],
  at: readonly PropertyKey[],
): Generator<Problem> {
  if (reserve === undefined) return;
  if (!charge.includes(reserve.unit))
    yield { path: [...at, "unit"], message: `"${reserve.unit}" is not in charge: nothing would correct it` };
  const max = units[reserve.unit]?.max_charge;
  if (max !== undefined && reserve.amount > max)
    yield { path: [...at, "amount"], message: `is above max_charge of ${reserve.unit}, which is ${max}` };
}

/** Quotas that nothing counts, and units that no quota counts. */
export function unitWarnings(
  document: LimitsDocument & Pick<PolicyDocument, "units">,
  routes: readonly Pick<Route, "charges">[],
): readonly string[] {
  const charged = new Set([REQUESTS, ...routes.flatMap(({ charges }) => charges)]);
  const placed = [...placedQuotas(document)];
  const uncharged = placed.flatMap(({ at, quotas }) =>
    quotas
      .filter(({ unit }) => !charged.has(unit))
      .map(({ name, unit }) => `${at.join(".")}: quota "${name}" has no effect: nothing charges ${unit}`),
  );
  const counted = new Set(placed.flatMap(({ quotas }) => quotas.map(({ unit }) => unit)));
  const uncounted = Object.keys(document.units)
    .filter((unit) => !counted.has(unit))
    .map((unit) => `units.${unit} has no effect: no quota has this unit`);
  return [...new Set([...uncharged, ...uncounted])];
}
