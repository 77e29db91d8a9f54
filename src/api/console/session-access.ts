import type { FastifyRequest } from "fastify";
import { presentedCredential } from "../../core/decision/credential.ts";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { Caller } from "../../core/keys/operator.ts";
import { callerHas, OPERATOR_SCOPES } from "../../core/keys/operator.ts";
import type { Access } from "../http/access.ts";
import { KEY_PROBLEMS, SESSION_PROBLEMS } from "../http/access.ts";
import { callerOf, callerWith } from "../http/caller.ts";
import type { ApiPorts } from "../http/calls.ts";
import { originOf } from "../http/calls.ts";
import { headersOf } from "../http/request-facts.ts";
import type { FailedCredential } from "../http/unauthenticated-calls.ts";
import { admitOpen, denyUnauthenticated } from "../http/unauthenticated-calls.ts";
import type { Links } from "./links.ts";
import { isFromOwnPage } from "./own-pages.ts";
import type { SignOutPorts } from "./session-replies.ts";
import type { Session, Sessions } from "./sessions.ts";

export interface ConsolePorts extends ApiPorts, SignOutPorts {
  readonly sessions: Sessions;
  readonly links: Links;
}

/** A person that has signed in. */
export interface SignedIn {
  readonly session: Session;
  readonly origin: CallOrigin;
}

/** Admits pages of the console, with or without a session, for the sign-in. The handler charges failed credentials. */
export function ownPages(ports: ApiPorts): Access<undefined> {
  return {
    kind: "charged",
    security: "none",
    problems: ["cross_site_call", "too_many_calls"],
    async admit(request, reply) {
      if (isFromOwnPage(request)) return { caller: undefined };
      await denyUnauthenticated(request, reply, ports, { problem: "cross_site_call" });
      return undefined;
    },
  };
}

/** Admits sessions whose credential is still valid, with any operator scope. */
export function signedIn(ports: ConsolePorts): Access<SignedIn> {
  return {
    kind: "charged",
    security: "session",
    problems: ["operator_required", "operator_scope_missing", "credential_ambiguous", ...DENIALS],
    async admit(request, reply, writes) {
      const opened = ports.sessions.of(request);
      const found = await operatorOf(await callerOf(request, ports));
      if (!found.ok) return deny(found);
      // As for every operator call: only an operator without `keys:write` is charged.
      const isFree = callerHas(found.caller, "keys:write");
      if (opened.kind !== "open")
        return deny({ problem: "operator_required", ...(isFree && { charged: true }) });
      if (writes && !isFree && !(await admitOpen(request, reply, ports))) return undefined;
      const { session } = opened;
      return { caller: { session, origin: originOf(request, found.caller, ports) } };

      async function deny(failed: FailedCredential): Promise<undefined> {
        await denyUnauthenticated(request, reply, ports, failed);
      }
    },
  };
}

/**
 * Admits operators with any scope that present their credential in a header, and gives the credential. A session cannot make
 * a link, because the session of the link would outlive it.
 */
export function presentedOperators(ports: ApiPorts): Access<{ readonly token: string }> {
  return {
    kind: "charged",
    security: "operator",
    problems: ["operator_required", "operator_scope_missing", "credential_ambiguous", ...DENIALS],
    async admit(request, reply, writes) {
      const presented = headerCredential(request);
      const found: OperatorResult =
        typeof presented === "string"
          ? await operatorOf(await callerWith(presented, request, ports))
          : { ok: false, ...presented };
      if (!found.ok || typeof presented !== "string") {
        await denyUnauthenticated(request, reply, ports, found.ok ? { problem: "operator_required" } : found);
        return undefined;
      }
      if (writes && !callerHas(found.caller, "keys:write") && !(await admitOpen(request, reply, ports)))
        return undefined;
      return { caller: { token: presented } };
    },
  };
}

const DENIALS = [...KEY_PROBLEMS, ...SESSION_PROBLEMS] as const;

function headerCredential(request: FastifyRequest): string | FailedCredential {
  const presented = presentedCredential({ headers: headersOf(request) }, ["authorization", "x-api-key"]);
  if (presented.kind === "one") return presented.token;
  return { problem: presented.kind === "none" ? "operator_required" : "credential_ambiguous" };
}

export type OperatorResult =
  | { readonly ok: true; readonly caller: Extract<Caller, { kind: "admin" | "key" | "person" }> }
  | ({ readonly ok: false } & FailedCredential);

/** The caller if it has an operator scope. */
export function operatorOf(found: Awaited<ReturnType<typeof callerOf>>): OperatorResult {
  if (!found.ok) return found;
  const { caller } = found;
  if (caller.kind !== "admin" && caller.kind !== "key" && caller.kind !== "person")
    return { ok: false, problem: "operator_required" };
  return OPERATOR_SCOPES.some((scope) => callerHas(caller, scope))
    ? { ok: true, caller }
    : { ok: false, problem: "operator_scope_missing" };
}
