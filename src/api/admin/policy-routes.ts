import { setImmediate as nextTurn } from "node:timers/promises";
import { callerName } from "../../core/keys/operator.ts";
import { countOverrides } from "../../core/overrides/count-overrides.ts";
import type { LimitList, Plan, Policy, Role } from "../../core/policy/policy.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import { plansResponse, policyResponse, reloadResponse, rolesResponse } from "./policy-schemas.ts";

/** What caused the load of a policy: the start, a changed file, a signal, or the call of an operator. */
type LoadCause =
  | { readonly kind: "start" | "file" | "signal" }
  | { readonly kind: "call"; readonly actor: string };

/** How the API shows and reloads the policy. */
export interface PolicyPort {
  current(): Policy;
  source(): { readonly fileName: string; readonly text: string };
  loaded(): { readonly atMs: number; readonly cause: LoadCause };
  /** Why the file is not the active policy. */
  rejected(): { readonly atMs: number; readonly problems: readonly string[] } | undefined;
  reload(
    cause: LoadCause & { readonly kind: "call" },
  ): Promise<
    | { readonly kind: "taken" | "unchanged" }
    | { readonly kind: "refused"; readonly problems: readonly string[] }
  >;
}

/** Problems of a rejected file that are listed. */
const MAX_PROBLEMS = 100;

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
      return call.reply.send({ hash, file: fileName, mode, ...loadBody(policy), text });
    },
  });
}

function loadBody(policy: PolicyPort) {
  const { atMs, cause } = policy.loaded();
  const rejected = policy.rejected();
  return {
    loaded_at: new Date(atMs).toISOString(),
    loaded_by: cause.kind,
    loaded_by_actor: cause.kind === "call" ? cause.actor : null,
    rejected: rejected
      ? { at: new Date(rejected.atMs).toISOString(), problems: rejected.problems.slice(0, MAX_PROBLEMS) }
      : null,
  };
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
      const reload = await policy.reload({ kind: "call", actor: callerName(call.caller.caller) });
      if (reload.kind !== "refused") {
        return call.reply.send({ result: reload.kind, hash: policy.current().hash });
      }
      return sendProblem(call.reply, "policy_refused", { detail: reload.problems.join("\n") });
    },
  });
}
