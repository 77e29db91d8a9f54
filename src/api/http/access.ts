import type { FastifyReply, FastifyRequest } from "fastify";
import { presentedCredential } from "../../core/decision/credential.ts";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { Caller, OperatorScope } from "../../core/keys/operator.ts";
import { callerHas } from "../../core/keys/operator.ts";
import type { Holder, HolderResult } from "./caller.ts";
import { authenticateHolder, callerOf } from "./caller.ts";
import type { ApiPorts } from "./calls.ts";
import { originOf } from "./calls.ts";
import type { ProblemName } from "./problem.ts";
import { headersOf } from "./request-facts.ts";
import { admitOpen, denyUnauthenticated } from "./unauthenticated-calls.ts";

/** Who may make a call. It is decided before the body is read: a caller that is refused does not learn how its body is judged. */
export interface Access<Who> {
  readonly kind: "charged";
  readonly security: "none" | "key" | "operator" | "optional";
  /** What a refusal answers. */
  readonly problems: readonly ProblemName[];
  /**
   * Finds out who calls; undefined once a refusal has been sent.
   * @param writes whether the call writes: then every caller without `keys:write` is charged by its address first
   */
  admit(
    request: FastifyRequest,
    reply: FastifyReply,
    writes: boolean,
  ): Promise<{ readonly who: Who } | undefined>;
}

/** A call that anyone may make without being charged: it can only read. */
export interface OpenAccess {
  readonly kind: "open";
  readonly security: "none";
  readonly problems: readonly ProblemName[];
}

export const ANYONE: OpenAccess = { kind: "open", security: "none", problems: [] };

/** Why a presented key is refused, wherever one is presented. */
export const KEY_PROBLEMS = [
  "credential_invalid",
  "key_expired",
  "key_revoked",
  "key_disabled",
  "key_superseded",
  "legacy_key_removed",
  "certificate_mismatch",
  "address_not_allowed",
  "credential_unavailable",
  "revocations_stale",
  "too_many_calls",
] as const satisfies readonly ProblemName[];

/** Operators that have the scope. */
export function operators(ports: ApiPorts, scope: OperatorScope): Access<CallOrigin> {
  return {
    kind: "charged",
    security: "operator",
    problems: ["operator_required", "operator_scope_missing", "credential_ambiguous", ...KEY_PROBLEMS],
    async admit(request, reply, writes) {
      const caller = await chargedCaller(request, reply, ports, { writes, anonymous: "operator_required" });
      if (caller === undefined) return undefined;
      if (callerHas(caller, scope)) return { who: originOf(request, caller, ports) };
      // Each refusal leaves an audit line. Only an operator may cause those without a charge.
      const free = writes || callerHas(caller, "keys:write");
      const problem = "operator_scope_missing";
      await denyUnauthenticated(request, reply, ports, free ? { problem, charged: true } : { problem });
      return undefined;
    },
  };
}

/** Callers without a credential, or with a good one: what they ask for decides whether they may have it. */
export function anyCaller(ports: ApiPorts): Access<CallOrigin> {
  return {
    kind: "charged",
    security: "optional",
    problems: ["operator_required", "credential_ambiguous", ...KEY_PROBLEMS],
    async admit(request, reply, writes) {
      const caller = await chargedCaller(request, reply, ports, { writes });
      return caller && { who: originOf(request, caller, ports) };
    },
  };
}

/** Callers that present a good key in a header. */
export function keyHolders(ports: ApiPorts): Access<Holder> {
  return {
    kind: "charged",
    security: "key",
    problems: ["credential_missing", "credential_ambiguous", ...KEY_PROBLEMS],
    async admit(request, reply, writes) {
      if (writes && !(await admitOpen(request, reply, ports))) return undefined;
      const found = await presentedHolder(request, ports, writes);
      if (found.ok) return { who: found.holder };
      await denyUnauthenticated(request, reply, ports, { ...found, ...(writes && { charged: true }) });
      return undefined;
    },
  };
}

async function presentedHolder(
  request: FastifyRequest,
  ports: ApiPorts,
  charged: boolean,
): Promise<HolderResult> {
  const presented = presentedCredential({ headers: headersOf(request) }, ["authorization", "x-api-key"]);
  if (presented.kind === "none") return { ok: false, problem: "credential_missing" };
  if (presented.kind === "ambiguous") return { ok: false, problem: "credential_ambiguous" };
  return authenticateHolder(presented.token, request, ports, charged);
}

/** Callers that present a key in the body. They are not known before the body is read, so all of them are charged. */
export function possessors(ports: ApiPorts): Access<undefined> {
  return {
    kind: "charged",
    security: "none",
    problems: ["too_many_calls"],
    admit: async (request, reply) =>
      (await admitOpen(request, reply, ports)) ? { who: undefined } : undefined,
  };
}

/** The caller, charged where the call writes; undefined once a refusal has been sent. */
async function chargedCaller(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: ApiPorts,
  { writes, anonymous }: { readonly writes: boolean; readonly anonymous?: ProblemName },
): Promise<Caller | undefined> {
  const found = await callerOf(request, ports);
  if (!found.ok) {
    await denyUnauthenticated(request, reply, ports, found);
    return undefined;
  }
  const { caller } = found;
  if (caller.kind === "anonymous" && anonymous !== undefined) {
    await denyUnauthenticated(request, reply, ports, { problem: anonymous });
    return undefined;
  }
  const charged = writes && !callerHas(caller, "keys:write");
  return charged && !(await admitOpen(request, reply, ports)) ? undefined : caller;
}
