import { z } from "zod";
import { OPERATOR_SCOPES } from "../core/keys/operator.ts";
import type { Role } from "../core/policy/policy.ts";
import type { SignInPolicy } from "../core/sign-in/sign-in-policy.ts";
import { claim } from "./claim-path.ts";
import { name } from "./names.ts";
import type { Problem } from "./problem.ts";
import { didYouMean } from "./suggestion.ts";

/** One entry of `console.operators`. */
const operatorMapping = z.strictObject({
  claim,
  value: z.string().min(1).max(256),
  role: name,
  scopes: z.array(z.string().max(64)).min(1).optional(),
});

/** `console` of the policy. */
export const signInSchema = z.strictObject({
  operators: z.array(operatorMapping).max(200).default([]),
  holders: z
    .strictObject({
      owner: claim,
      roles: z.array(name).max(100).default([]),
      max_keys: z.int().min(1).max(10_000).default(100),
    })
    .optional(),
});

export function toSignInPolicy({ operators, holders }: z.output<typeof signInSchema>): SignInPolicy {
  return {
    operators: operators.map(({ scopes, ...entry }) => ({
      ...entry,
      ...(scopes !== undefined && { scopes }),
    })),
    ...(holders !== undefined && {
      holders: { owner: holders.owner, roles: holders.roles, maxKeys: holders.max_keys },
    }),
  };
}

/** Checks of the mappings that the schema cannot express. */
export function* signInProblems(
  { operators, holders }: SignInPolicy,
  roles: ReadonlyMap<string, Role>,
): Generator<Problem> {
  for (const [index, entry] of operators.entries()) {
    const at = ["console", "operators", index];
    const role = roles.get(entry.role);
    if (role === undefined) {
      yield { path: [...at, "role"], message: unknownRole(entry.role, roles) };
      continue;
    }
    if (!OPERATOR_SCOPES.some((scope) => (entry.scopes ?? [...role.scopes]).includes(scope)))
      yield {
        path: [...at, "role"],
        message: "an operator needs an operator scope, and this entry gives none",
      };
    for (const [position, scope] of (entry.scopes ?? []).entries())
      if (!role.scopes.has(scope))
        yield {
          path: [...at, "scopes", position],
          message: `the role ${role.name} does not have "${scope}"${didYouMean(scope, role.scopes)}`,
        };
    const same = (other: typeof entry) =>
      other.value === entry.value && JSON.stringify(other.claim) === JSON.stringify(entry.claim);
    if (operators.slice(0, index).some(same))
      yield { path: at, message: "an earlier entry has the same claim and value, so this one never applies" };
  }
  for (const [index, named] of (holders?.roles ?? []).entries()) {
    const path = ["console", "holders", "roles", index];
    const role = roles.get(named);
    const operatorScope = OPERATOR_SCOPES.find((scope) => role?.scopes.has(scope));
    if (role === undefined) yield { path, message: unknownRole(named, roles) };
    else if (operatorScope !== undefined || role.mayGrant.length > 0)
      yield {
        path,
        message: `a holder could become an operator: this role has ${operatorScope ?? "may_grant"}`,
      };
  }
}

function unknownRole(named: string, roles: ReadonlyMap<string, Role>): string {
  return `unknown role "${named}"${didYouMean(named, roles.keys())}`;
}
