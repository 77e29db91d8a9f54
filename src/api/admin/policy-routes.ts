import { setImmediate as nextTurn } from "node:timers/promises";
import { countOverrides } from "../../core/overrides/count-overrides.ts";
import type { LimitList, Plan, Policy, Role } from "../../core/policy/policy.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import { plansResponse, policyResponse, reloadResponse, rolesResponse } from "./policy-schemas.ts";

/** How the API shows and reloads the policy. */
export interface PolicyPort {
  current(): Policy;
  source(): { readonly fileName: string; readonly text: string };
  reload(): Promise<
    | { readonly kind: "taken" | "unchanged" }
    | { readonly kind: "refused"; readonly problems: readonly string[] }
  >;
}

/** Shows the active policy and reloads the file. */
export function policyRoutes(ports: ApiPorts, policy: PolicyPort): readonly Endpoint[] {
  return [
    showRoute(ports, policy),
    rolesRoute(ports, policy),
    plansRoute(ports, policy),
    reloadRoute(ports, policy),
  ];
}

function showRoute(ports: ApiPorts, policy: PolicyPort): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/policy",
    summary: "Show the active policy",
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The policy.", schema: policyResponse },
    handle: async (call) => {
      const { fileName, text } = policy.source();
      const { hash, mode } = policy.current();
      return call.reply.send({ hash, file: fileName, mode, text });
    },
  });
}

function rolesRoute(ports: ApiPorts, policy: PolicyPort): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/roles",
    summary: "List the roles of the active policy",
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The roles.", schema: rolesResponse },
    handle: async (call) => call.reply.send({ roles: [...policy.current().roles.values()].map(roleBody) }),
  });
}

function roleBody(role: Role) {
  return {
    name: role.name,
    scopes: [...role.scopes],
    ttl_seconds: role.ttlSeconds,
    refresh_window_seconds: role.refreshWindowSeconds,
    self_service: role.selfService,
    may_grant: role.mayGrant,
    plan: role.plan?.name ?? null,
    may_assign_plans: role.mayAssignPlans,
    rate_limits: limitBodies(role),
    quotas: quotaBodies(role),
  };
}

/** Null for a list that the plan does not have. */
function planBody(plan: Plan, overrides: number) {
  return {
    name: plan.name,
    rate_limits: plan.rateLimits === undefined ? null : limitBodies(plan),
    quotas: plan.quotas === undefined ? null : quotaBodies(plan),
    overrides,
  };
}

function quotaBodies({ quotas = [] }: Partial<LimitList>) {
  return quotas.map(({ timeZone, extra: _, ...quota }) => ({ ...quota, time_zone: timeZone }));
}

function limitBodies({ rateLimits = [] }: Partial<LimitList>) {
  return rateLimits.map(({ name, per, capacity, refillPerSecond }) => ({
    name,
    per,
    capacity,
    refill_per_second: refillPerSecond,
  }));
}

function plansRoute(ports: ApiPorts, policy: PolicyPort): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/plans",
    summary: "List the plans of the active policy",
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The plans.", schema: plansResponse },
    handle: async (call) => {
      const { plans, quotaCounts } = policy.current();
      const { overrides } = ports.registry.view;
      const { byPlan } = await countOverrides(overrides, { plans, quotaCounts }, ports.nowMs(), nextTurn);
      const unknown = [...byPlan].filter(([name]) => !plans.has(name));
      return call.reply.send({
        plans: [...plans.values()].map((plan) => planBody(plan, byPlan.get(plan.name) ?? 0)),
        unknown: unknown.map(([name, count]) => ({ name, overrides: count })),
      });
    },
  });
}

function reloadRoute(ports: ApiPorts, policy: PolicyPort): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/admin/policy/reload",
    summary: "Reload the policy file now",
    description:
      "Affects this instance only. A changed file is also reloaded automatically, within about a second.",
    access: operators(ports, "system:write"),
    writes: true,
    response: { status: 200, description: "The policy file is active.", schema: reloadResponse },
    problems: ["policy_refused"],
    handle: async (call) => {
      const reload = await policy.reload();
      if (reload.kind !== "refused") {
        return call.reply.send({ result: reload.kind, hash: policy.current().hash });
      }
      return sendProblem(call.reply, "policy_refused", { detail: reload.problems.join("\n") });
    },
  });
}
