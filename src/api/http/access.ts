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

/** Who may make a call. It is decided before the body is read, so a denied caller learns nothing about its body. */
export interface Access<Identity> {
  readonly kind: "charged";
  readonly security: "none" | "key" | "operator" | "optional" | "session" | "holder";
  /** The problems of a denial. */
  readonly problems: readonly ProblemName[];
  /**
   * Authenticates and authorizes the caller; undefined if it has sent a denial.
   * @param writes whether the call writes: then the address of every caller without `keys:write` is charged first
   */
  admit(
    request: FastifyRequest,
    reply: FastifyReply,
    writes: boolean,
  ): Promise<{ readonly caller: Identity } | undefined>;
}

/** Access without a credential and without a charge, for calls that only read. */
export interface OpenAccess {
  readonly kind: "open";
  readonly security: "none";
  readonly problems: readonly ProblemName[];
}

export const ANYONE: OpenAccess = { kind: "open", security: "none", problems: [] };

/** The reasons for which any call may deny a presented key. */
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

/** The further reasons for which a call of a console page is denied. */
export const SESSION_PROBLEMS = [
  "session_ended",
  "cross_site_call",
] as const satisfies readonly ProblemName[];

/** Admits operators that have the scope. */
export function operators(ports: ApiPorts, scope: OperatorScope): Access<CallOrigin> {
  return {
    kind: "charged",
    security: "operator",
    problems: [
      ...(["operator_required", "operator_scope_missing", "credential_ambiguous"] as const),
      ...KEY_PROBLEMS,
      ...SESSION_PROBLEMS,
    ],
    async admit(request, reply, writes) {
      const caller = await chargedCaller(request, reply, ports, { writes, anonymous: "operator_required" });
      if (caller === undefined) return undefined;
      if (callerHas(caller, scope)) return { caller: originOf(request, caller, ports) };
      // Each denial writes an audit line. Only an operator may cause them without a charge.
      const isFree = writes || callerHas(caller, "keys:write");
      const problem = "operator_scope_missing";
      await denyUnauthenticated(request, reply, ports, isFree ? { problem, charged: true } : { problem });
      return undefined;
    },
  };
}

/** Admits callers without a credential or with a valid one. The handler authorizes what they request. */
export function anyCaller(ports: ApiPorts): Access<CallOrigin> {
  return {
    kind: "charged",
    security: "optional",
    problems: ["operator_required", "credential_ambiguous", ...KEY_PROBLEMS],
    async admit(request, reply, writes) {
      const caller = await chargedCaller(request, reply, ports, { writes });
      return caller && { caller: originOf(request, caller, ports) };
    },
  };
}

/** Admits callers that present a valid key in a header. */
export function keyHolders(ports: ApiPorts): Access<Holder> {
  return {
    kind: "charged",
    security: "key",
    problems: ["credential_missing", "credential_ambiguous", ...KEY_PROBLEMS],
    async admit(request, reply, writes) {
      if (writes && !(await admitOpen(request, reply, ports))) return undefined;
      const found = await presentedHolder(request, ports, writes);
      if (found.ok) return { caller: found.holder };
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

/** Admits callers that present a key in the body. They are unknown before the body is read, so all are charged. */
export function possessors(ports: ApiPorts): Access<undefined> {
  return {
    kind: "charged",
    security: "none",
    problems: ["too_many_calls"],
    admit: async (request, reply) =>
      (await admitOpen(request, reply, ports)) ? { caller: undefined } : undefined,
  };
}

/** The authenticated caller, charged if the call writes; undefined if a denial has been sent. */
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
