import type { Problem } from "./problem.ts";
import type { PolicyDocument } from "./schema.ts";
import { didYouMean } from "./suggestion.ts";

type PlanDocument = Pick<PolicyDocument, "plans" | "issuers"> & {
  readonly roles: NonNullable<PolicyDocument["roles"]>;
};

/** Checks of the plans, and of the entries that name plans, which the schema cannot express. */
export function* planProblems(document: PlanDocument): Generator<Problem> {
  const names = Object.keys(document.plans);
  for (const [name, { rate_limits: limits = [] }] of Object.entries(document.plans))
    yield* repeatedLimitProblems(limits, ["plans", name, "rate_limits"]);
  for (const [role, entry] of Object.entries(document.roles)) {
    const at = ["roles", role];
    if (entry.plan !== undefined) {
      yield* planNameProblems([entry.plan], names, () => [...at, "plan"]);
      for (const own of ["rate_limits", "quotas"] as const) {
        if (entry[own] !== undefined)
          yield { path: [...at, own], message: "a role has a plan or limits of its own, not both" };
      }
    }
    yield* planNameProblems(entry.may_assign_plans, names, (index) => [...at, "may_assign_plans", index]);
    if (entry.may_assign_plans.length > 0 && !entry.scopes.includes("limits:write"))
      yield { path: [...at, "may_assign_plans"], message: "has no effect without the scope limits:write" };
  }
  yield* issuerPlanProblems(document, names);
}

function* issuerPlanProblems({ issuers }: PlanDocument, names: readonly string[]): Generator<Problem> {
  for (const [position, { plans, claims }] of issuers.entries()) {
    const at = ["issuers", position];
    yield* planNameProblems(plans, names, (index) => [...at, "plans", index]);
    if (plans.length > 0 && claims.plan === undefined)
      yield { path: [...at, "plans"], message: "has no effect without claims.plan" };
    if (plans.length === 0 && claims.plan !== undefined)
      yield { path: [...at, "claims", "plan"], message: "has no effect without plans, the issuer's list" };
  }
}

function* planNameProblems(
  written: readonly string[],
  known: readonly string[],
  pathOf: (index: number) => readonly PropertyKey[],
): Generator<Problem> {
  for (const [index, name] of written.entries()) {
    if (!known.includes(name))
      yield { path: pathOf(index), message: `unknown plan "${name}"${didYouMean(name, known)}` };
    if (written.indexOf(name) !== index) yield { path: pathOf(index), message: `a second "${name}"` };
  }
}

/** Limits of one list must have different names, because the name is part of the bucket's id. */
export function* repeatedLimitProblems(
  limits: readonly { readonly name: string }[],
  at: readonly PropertyKey[],
): Generator<Problem> {
  const names = limits.map(({ name }) => name);
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) !== index)
      yield { path: [...at, index, "name"], message: `a second limit "${name}"` };
  }
}
