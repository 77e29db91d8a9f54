import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { callerHas } from "../../core/keys/operator.ts";
import { countOverrides } from "../../core/overrides/count-overrides.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import type { FieldProblem } from "../http/problem.ts";
import { sendProblem } from "../http/problem.ts";
import { MAX_POLICY_CHECK_BYTES, policyCheckBody, policyCheckResponse } from "./policy-check-schemas.ts";

/** Checks policies beside the deciding thread, one at a time. */
export interface PolicyTrial {
  /** @param body the JSON text of the body, which is parsed beside the deciding thread too. Never rejects. */
  run(body: string, facts: TrialFacts): Promise<TrialOutcome>;
}

export interface TrialFacts {
  /** The hash of the active policy. */
  readonly activeHash: string;
  readonly mayReplay: boolean;
  /** The number of overrides that name a plan. */
  readonly overridesByPlan: ReadonlyMap<string, number>;
}

export type TrialOutcome =
  /** The JSON text of the response. */
  | { readonly kind: "done"; readonly text: string }
  | { readonly kind: "invalid"; readonly errors: readonly FieldProblem[] }
  | { readonly kind: "replay_denied" }
  /** Other trials run and wait. */
  | { readonly kind: "busy" };

/** Checks, tests and replays a policy that is not in force. It never becomes the active policy. */
export function policyCheckRoute(ports: ApiPorts, active: () => Policy, trial: PolicyTrial): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/admin/policy/check",
    summary: "Check, test and replay a policy that is not in force",
    description:
      "Says what `latchkey policy check`, `test` and `replay` say. The policy never becomes active. It is checked beside the deciding thread, one at a time and within 30 seconds.",
    access: operators(ports, "system:read"),
    writes: false,
    body: z.string(),
    bodyAsText: policyCheckBody,
    maxBodyBytes: MAX_POLICY_CHECK_BYTES,
    response: {
      status: 200,
      description: "What is wrong with it, or what it would change.",
      schema: policyCheckResponse,
    },
    problems: ["policy_check_busy"],
    handle: async (call) => {
      const outcome = await trial.run(call.body, {
        activeHash: active().hash,
        mayReplay: callerHas(call.caller.caller, "audit:read"),
        overridesByPlan: await overridesByPlan(ports, active()),
      });
      switch (outcome.kind) {
        case "done":
          return call.reply.type("application/json; charset=utf-8").send(outcome.text);
        case "invalid":
          return sendProblem(call.reply, "request_invalid", { errors: outcome.errors });
        case "replay_denied":
          return sendProblem(call.reply, "operator_scope_missing", { detail: "A replay needs audit:read." });
        case "busy":
          return sendProblem(call.reply, "policy_check_busy");
      }
    },
  });
}

async function overridesByPlan({ registry, nowMs }: ApiPorts, { plans, quotaCounts }: Policy) {
  const { overrides } = registry.view;
  const { byPlan } = await countOverrides(overrides, { plans, quotaCounts }, nowMs(), nextTurn);
  return byPlan;
}
