import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { presentedCredential } from "../../core/decision/credential.ts";
import type { Principal } from "../../core/decision/principal.ts";
import { bindingViolation } from "../../core/keys/key-binding.ts";
import type { Caller } from "../../core/keys/operator.ts";
import { callerName } from "../../core/keys/operator.ts";
import type { Migration } from "../../core/legacy/migration.ts";
import { endedByPhase } from "../../core/legacy/migration.ts";
import type { Role } from "../../core/policy/policy.ts";
import { grantedScopes } from "../../core/policy/scopes.ts";
import type { RevocationView } from "../../core/revocation/revocation-view.ts";
import { addressOf, certificateOf, headersOf } from "./request-facts.ts";
import type { CredentialDenial, OpenCallPorts } from "./unauthenticated-calls.ts";
import { chargeLookUp } from "./unauthenticated-calls.ts";

export interface CallerPorts extends OpenCallPorts {
  readonly view: RevocationView;
  /** Whether so little is known of revocations that no key is taken. */
  readonly stale: () => boolean;
  readonly migration: Migration;
  /** Empty when `ADMIN_TOKEN` is `off`. */
  readonly adminTokens: readonly string[];
}

/** A good key and what it may do now. */
export interface Holder {
  readonly principal: Principal;
  readonly role: Role;
  readonly scopes: readonly string[];
}

/** Why a key is refused, with its id where its signature is good. */
export interface KeyDenial extends CredentialDenial {
  readonly keyId?: string;
}

export type HolderResult =
  | { readonly ok: true; readonly holder: Holder }
  | ({ readonly ok: false } & KeyDenial);

export type CallerResult =
  | { readonly ok: true; readonly caller: Caller }
  | ({ readonly ok: false } & CredentialDenial);

const FREE = { kind: "free" } as const;

/**
 * Finds out who presents a token: the same judgement as a Check's, without route and limits.
 * @param charged whether the address has been charged for this call; else it is charged for the look-up of a key that is not good
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
  const result = await holderHere(token, request, ports);
  if (charge.kind === "free") return result;
  if (!result.ok) return { ...result, charged: true };
  charge.refund();
  return result;
}

/** The holder, if the key may be presented by this client. */
async function holderHere(token: string, request: FastifyRequest, ports: CallerPorts): Promise<HolderResult> {
  const found = await authenticateKey(token, ports, () => addressOf(request, ports));
  const keyId = found.ok ? found.holder.principal.keyId : found.keyId;
  if (keyId !== undefined) request.actor = `key:${keyId}`;
  if (!found.ok) return found;
  const from = { address: () => addressOf(request, ports), certificate: () => certificateOf(request) };
  const problem = bindingViolation(found.holder.principal, from);
  return problem === undefined ? found : { ok: false, problem };
}

/** Finds out who a token belongs to, wherever it may be presented; by whom, where it is the caller itself. */
export async function authenticateKey(
  token: string,
  ports: CallerPorts,
  client?: () => string,
): Promise<HolderResult> {
  const nowMs = ports.nowMs();
  const verified = await ports.verifier.verify(token, nowMs, client);
  if (!verified.ok) return { ok: false, problem: verified.reason };
  const { principal } = verified;
  const { keyId } = principal;
  if (ports.stale()) return { ok: false, problem: "revocations_stale", keyId };
  const phase = endedByPhase(principal, ports.migration.state(), ports.policy().migration, nowMs);
  const ended = ports.view.endReason(principal, nowMs) ?? phase;
  if (ended !== undefined) return { ok: false, problem: ended, keyId };
  const role = ports.policy().roles.get(principal.role);
  if (role === undefined) return { ok: false, problem: "credential_invalid", keyId };
  return { ok: true, holder: { principal, role, scopes: grantedScopes(principal.scopes, role.scopes) } };
}

/**
 * Who calls. A credential that is there must be good: a bad one does not make its sender anonymous.
 * The address is charged for a look-up of the credential in the store.
 */
export async function callerOf(request: FastifyRequest, ports: CallerPorts): Promise<CallerResult> {
  const presented = presentedCredential({ headers: headersOf(request) }, ["authorization", "x-api-key"]);
  if (presented.kind === "ambiguous") return { ok: false, problem: "credential_ambiguous" };
  if (presented.kind === "none")
    return { ok: true, caller: { kind: "anonymous", address: addressOf(request, ports) } };
  const admin = adminId(presented.token, ports.adminTokens);
  if (admin !== undefined) return callsAs(request, { kind: "admin", id: admin });
  const found = await authenticateHolder(presented.token, request, ports, false);
  if (!found.ok) return found;
  const { principal, role, scopes } = found.holder;
  return { ok: true, caller: { kind: "key", id: principal.keyId, role, scopes } };
}

function callsAs(request: FastifyRequest, caller: Caller): CallerResult {
  request.actor = callerName(caller);
  return { ok: true, caller };
}

/** Which admin token it is, by a short digest that may stand in an audit line. Every token is compared, in constant time. */
function adminId(token: string, adminTokens: readonly string[]): string | undefined {
  const presented = createHash("sha256").update(token).digest();
  const matches = adminTokens
    .map((known) => createHash("sha256").update(known).digest())
    .filter((known) => timingSafeEqual(known, presented));
  return (
    matches[0] && createHash("sha256").update("latchkey admin").update(matches[0]).digest("hex").slice(0, 8)
  );
}
