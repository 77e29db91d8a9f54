import { revocationsAreStale } from "../../core/decision/judge-credential.ts";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { Caller } from "../../core/keys/operator.ts";
import { callerName } from "../../core/keys/operator.ts";
import { holderCaller } from "../../core/sign-in/holder-person.ts";
import type { SignOutPorts } from "../console/session-replies.ts";
import type { Session, Sessions } from "../console/sessions.ts";
import type { Access } from "../http/access.ts";
import { isCutOff } from "../http/caller.ts";
import type { ApiPorts } from "../http/calls.ts";
import { originOf } from "../http/calls.ts";
import type { ProblemName } from "../http/problem.ts";
import { sendProblem } from "../http/problem.ts";
import { admitOpen } from "../http/unauthenticated-calls.ts";

export interface OwnerPorts extends ApiPorts, SignOutPorts {
  readonly holderSessions: Sessions;
  /** The provider that vouches for holders. */
  readonly signInIssuer: string;
}

export type OwnerCaller = Extract<Caller, { kind: "owner" }>;

/** A holder that has signed in. */
export interface SignedInHolder {
  readonly owner: OwnerCaller;
  readonly session: Session;
  readonly name: string;
  readonly origin: CallOrigin;
}

/** Admits holders that have signed in. Every call is charged, as calls of keys are that read or write the store. */
export function signedInHolders(ports: OwnerPorts): Access<SignedInHolder> {
  return {
    kind: "charged",
    security: "holder",
    problems: ["session_ended", "cross_site_call", "revocations_stale", "too_many_calls"],
    async admit(request, reply) {
      if (!(await admitOpen(request, reply, ports))) return undefined;
      const opened = ports.holderSessions.of(request);
      const found = opened.kind === "open" ? holderOf(opened.session, ports) : denialOf(opened.kind);
      if (typeof found === "string") {
        sendProblem(reply, found);
        return undefined;
      }
      request.actor = callerName(found.owner);
      return { caller: { ...found, origin: originOf(request, found.owner, ports) } };
    },
  };
}

function denialOf(kind: "none" | "cross_site" | "ended"): ProblemName {
  return kind === "cross_site" ? "cross_site_call" : "session_ended";
}

/** The holder by the current policy. */
export function holderOf(session: Session, ports: OwnerPorts): Omit<SignedInHolder, "origin"> | ProblemName {
  const { policy, stalenessMs, signInIssuer } = ports;
  const { subject } = session;
  const current = policy();
  const isHolder = subject.kind === "holder" && subject.issuer === signInIssuer;
  const owner = isHolder ? holderCaller(subject.person, current) : undefined;
  if (owner === undefined || !isHolder || isCutOff(session, { owner: owner.owner }, ports))
    return "session_ended";
  if (revocationsAreStale(current, stalenessMs())) return "revocations_stale";
  return { owner, session, name: subject.person.name };
}
