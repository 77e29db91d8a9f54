import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { presentedCredential } from "../../core/decision/credential.ts";
import type { JudgementPorts } from "../../core/decision/judge-credential.ts";
import { judgeCredential, revocationsAreStale } from "../../core/decision/judge-credential.ts";
import type { Principal } from "../../core/decision/principal.ts";
import type { Presenter } from "../../core/keys/key-binding.ts";
import type { Caller } from "../../core/keys/operator.ts";
import { callerName } from "../../core/keys/operator.ts";
import type { Role } from "../../core/policy/policy.ts";
import { grantedScopes } from "../../core/policy/scopes.ts";
import type { RevocationView } from "../../core/revocation/revocation-view.ts";
import { operatorCaller } from "../../core/sign-in/operator-person.ts";
import type { Session, Sessions } from "../console/sessions.ts";
import { addressOf, certificateOf, headersOf } from "./request-facts.ts";
import type { FailedCredential, OpenCallPorts } from "./unauthenticated-calls.ts";
import { chargeLookUp } from "./unauthenticated-calls.ts";

export interface CallerPorts extends OpenCallPorts, JudgementPorts {
  readonly view: Pick<RevocationView, "endReason" | "cutOffBefore">;
  /** Empty when `ADMIN_TOKEN` is `off`. */
  readonly adminTokens: readonly string[];
  /** Of the console. Absent on a listener that serves no console. */
  readonly sessions?: Sessions;
  /** The OpenID Connect provider whose people may sign in. */
  readonly signInIssuer?: string;
}

/** A valid key and its present permissions. */
export interface Holder {
  readonly principal: Principal;
  readonly role: Role;
  readonly scopes: readonly string[];
}

export interface KeyDenial extends FailedCredential {
  /** The id of a key that was verified, but is not valid. */
  readonly keyId?: string;
}

export type HolderResult =
  | { readonly ok: true; readonly holder: Holder }
  | ({ readonly ok: false } & KeyDenial);

export type CallerResult =
  | { readonly ok: true; readonly caller: Caller }
  | ({ readonly ok: false } & FailedCredential);

const FREE = { kind: "free" } as const;

/**
 * Authenticates the client of a call by its key.
 * @param charged whether the address has been charged for this call. Otherwise it is charged for the look-up of an invalid key
 */
export async function authenticateHolder(
  token: string,
  request: FastifyRequest,
  ports: CallerPorts,
  charged: boolean,
): Promise<HolderResult> {
  const charge = charged ? FREE : await chargeLookUp(token, request, ports);
  if (charge.kind === "refused") {
    const { retryAfterSeconds } = charge;
    return { ok: false, problem: "too_many_calls", charged: true, retryAfterSeconds };
  }
  const result = await authenticateKey(token, ports, {
    address: () => addressOf(request, ports),
    certificate: () => certificateOf(request),
  });
  const keyId = result.ok ? result.holder.principal.keyId : result.keyId;
  if (keyId !== undefined) request.actor = `key:${keyId}`;
  if (charge.kind === "free") return result;
  if (!result.ok) return { ...result, charged: true };
  charge.refund();
  return result;
}

/**
 * Authenticates a key.
 * @param presenter the client that presents it; absent for introspection, whose caller asks about another client's key
 */
export async function authenticateKey(
  token: string,
  ports: CallerPorts,
  presenter?: Presenter,
): Promise<HolderResult> {
  const nowMs = ports.nowMs();
  const verified = await ports.verifier.verify(token, nowMs, presenter?.address);
  const policy = ports.policy();
  const judged = judgeCredential(verified, { ports, policy, nowMs }, presenter);
  if (!verified.ok) return { ok: false, problem: verified.reason };
  const { principal } = verified;
  if (typeof judged === "string") return { ok: false, problem: judged, keyId: principal.keyId };
  const scopes = grantedScopes(principal.scopes, judged.scopes);
  return { ok: true, holder: { principal, role: judged, scopes } };
}

/**
 * Finds the caller. An invalid credential is denied: it does not make its sender anonymous. The address is charged for a
 * look-up of the credential in the store.
 */
export async function callerOf(request: FastifyRequest, ports: CallerPorts): Promise<CallerResult> {
  const presented = presentedCredential({ headers: headersOf(request) }, ["authorization", "x-api-key"]);
  const session = ports.sessions?.of(request) ?? { kind: "none" };
  if (presented.kind === "ambiguous" || (presented.kind === "one" && session.kind !== "none"))
    return { ok: false, problem: "credential_ambiguous" };
  if (presented.kind === "one") return callerWith(presented.token, request, ports);
  switch (session.kind) {
    case "none":
      return { ok: true, caller: { kind: "anonymous", address: addressOf(request, ports) } };
    case "cross_site":
      return { ok: false, problem: "cross_site_call" };
    case "ended":
      return { ok: false, problem: "session_ended" };
    case "open":
      return callerOfSession(session.session, request, ports);
  }
}

/** The caller that a session stands for. An operator by claims is judged by the current policy, as a key is. */
export async function callerOfSession(
  session: Session,
  request: FastifyRequest,
  ports: CallerPorts,
): Promise<CallerResult> {
  const { subject } = session;
  if (subject.kind === "credential") return callerWith(subject.token, request, ports);
  const policy = ports.policy();
  const isOperator = subject.kind === "operator" && subject.issuer === ports.signInIssuer;
  const caller = isOperator ? operatorCaller(subject.person, policy) : undefined;
  if (caller === undefined || isCutOff(session, { role: caller.role.name }, ports))
    return { ok: false, problem: "session_ended" };
  // A session that another instance has ended must not stay open, as a key must not.
  if (revocationsAreStale(policy, ports.stalenessMs())) return { ok: false, problem: "revocations_stale" };
  return callsAs(request, caller);
}

/** Finds the caller that presents this credential. */
export async function callerWith(
  token: string,
  request: FastifyRequest,
  ports: CallerPorts,
): Promise<CallerResult> {
  const admin = adminId(token, ports.adminTokens);
  if (admin !== undefined) return callsAs(request, { kind: "admin", id: admin });
  const found = await authenticateHolder(token, request, ports, false);
  if (!found.ok) return found;
  const { principal, role, scopes } = found.holder;
  return { ok: true, caller: { kind: "key", id: principal.keyId, role, scopes } };
}

/** Whether the incident switch has ended the session: for this role, this owner, or for everything before a moment. */
export function isCutOff(
  { id: family, startedMs }: Session,
  subject: { readonly role?: string; readonly owner?: string },
  { view }: Pick<CallerPorts, "view">,
): boolean {
  return startedMs < view.cutOffBefore({ role: "", family, ...subject }) * 1000;
}

function callsAs(request: FastifyRequest, caller: Caller): CallerResult {
  request.actor = callerName(caller);
  return { ok: true, caller };
}

/** Names the admin token by a short digest, which the audit log may contain. Compares every token in constant time. */
function adminId(token: string, adminTokens: readonly string[]): string | undefined {
  const presented = createHash("sha256").update(token).digest();
  const matches = adminTokens
    .map((known) => createHash("sha256").update(known).digest())
    .filter((known) => timingSafeEqual(known, presented));
  return (
    matches[0] && createHash("sha256").update("latchkey admin").update(matches[0]).digest("hex").slice(0, 8)
  );
}
