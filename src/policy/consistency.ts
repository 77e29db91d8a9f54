import { OPERATOR_SCOPES } from "../core/keys/operator.ts";
import type { Quota, RateLimit, Role } from "../core/policy/policy.ts";
import { routeConflicts } from "../core/policy/route-conflicts.ts";
import { parsePattern } from "../core/policy/route-pattern.ts";
import type { Route } from "../core/policy/route-table.ts";
import { scopesSuffice } from "../core/policy/scopes.ts";
import { countsRequests } from "../core/quotas/quota-demand.ts";
import { repeatedLimitProblems } from "./plan-problems.ts";
import type { Problem } from "./problem.ts";
import { didYouMean } from "./suggestion.ts";

/** Checks of the roles that the schema cannot express. */
export function* roleProblems(roles: ReadonlyMap<string, Role>): Generator<Problem> {
  for (const role of roles.values()) {
    const at = ["roles", role.name];
    for (const [index, granted] of role.mayGrant.entries()) {
      if (!roles.has(granted))
        yield {
          path: [...at, "may_grant", index],
          message: `unknown role "${granted}"${didYouMean(granted, roles.keys())}`,
        };
    }
    const operatorScope = OPERATOR_SCOPES.find((scope) => role.scopes.has(scope));
    if (role.selfService && (operatorScope !== undefined || role.mayGrant.length > 0)) {
      yield {
        path: [...at, "self_service"],
        message: `anyone could become an operator: this role has ${operatorScope ?? "may_grant"}`,
      };
    }
    yield* repeatedLimitProblems(role.rateLimits, [...at, "rate_limits"]);
  }
}

/** Checks of the routes that the schema cannot express. */
export function* routeProblems(
  routes: readonly Route[],
  roles: ReadonlyMap<string, Role>,
): Generator<Problem> {
  const known = new Set([...roles.values()].flatMap((role) => [...role.scopes]));
  for (const [index, route] of routes.entries()) {
    const at = ["routes", index];
    const pattern = parsePattern(route.pattern);
    if (!pattern.ok) yield { path: [...at, "path"], message: pattern.why };
    for (const [field, scopes] of [
      ["scopes", route.scopes],
      ["any_scope", route.anyScope],
    ] as const) {
      for (const [position, scope] of scopes.entries()) {
        if (!known.has(scope))
          yield {
            path: [...at, field, position],
            message: `unknown scope "${scope}": no role has it${didYouMean(scope, known)}`,
          };
      }
    }
    if (route.public && route.scopes.length + route.anyScope.length > 0) {
      yield { path: [...at, "public"], message: "a public route asks for no scopes" };
    }
    for (const { holder, limit } of tooCostly(route, roles)) {
      yield {
        path: [...at, "cost"],
        message: `cost ${route.cost} is above the capacity of ${holder}'s limit "${limit.name}" (${limit.capacity}): it could never be served`,
      };
    }
  }
}

/** Limits that are too small for the route, of its roles and of the plans of these roles. */
function tooCostly(
  route: Route,
  roles: ReadonlyMap<string, Role>,
): { readonly holder: string; readonly limit: RateLimit }[] {
  if (route.public) return [];
  return [...roles.values()]
    .filter((role) => scopesSuffice([...role.scopes], route))
    .flatMap((role) =>
      (role.plan?.rateLimits ?? role.rateLimits)
        .filter((limit) => limit.capacity < route.cost)
        .map((limit) => ({ holder: role.plan === undefined ? role.name : `plan ${role.plan.name}`, limit })),
    );
}

/**
 * Routes that take more than a whole quota of a role or its plan: they are never served. A quota of 0 is meant so. Few routes take
 * more than the smallest quota, and only these are compared with each role.
 */
export function costWarnings(routes: readonly Route[], roles: ReadonlyMap<string, Role>): readonly string[] {
  const limited = [...roles.values()].map((role) => {
    const quotas = (role.plan?.quotas ?? role.quotas).filter(({ limit }) => limit > 0);
    return { role, quotas, smallest: Math.min(...quotas.map(({ limit }) => limit)) };
  });
  return routes.flatMap((route) => {
    const most = route.public ? 0 : Math.max(route.cost, route.reserve?.amount ?? 0);
    return limited
      .filter(({ role, smallest }) => smallest < most && scopesSuffice([...role.scopes], route))
      .flatMap(({ role, quotas }) =>
        quotas
          .filter((quota) => quota.limit < takenFrom(quota, route))
          .map(
            (quota) =>
              `${route.label} has no effect for the role ${role.name}: it takes ${takenFrom(quota, route)}, above the quota "${quota.name}" (${quota.limit})`,
          ),
      );
  });
}

function takenFrom({ unit }: Quota, { cost, reserve }: Route): number {
  if (countsRequests({ unit })) return cost;
  return reserve?.unit === unit ? reserve.amount : 0;
}

/** Pairs of routes that match the same request with equal precedence. */
export function* conflictProblems(
  routes: readonly Route[],
  lineOf: (index: number) => number,
): Generator<Problem> {
  if (routes.some((route) => !parsePattern(route.pattern).ok)) return;
  for (const { first, second, why } of routeConflicts(routes)) {
    yield { path: ["routes", second], message: `this route and the one on line ${lineOf(first)} ${why}` };
  }
}
