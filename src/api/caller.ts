import { createHash, hash, timingSafeEqual } from "node:crypto";
import { TLSSocket } from "node:tls";
import type { FastifyRequest } from "fastify";
import { clientAddress } from "../core/client-address.ts";
import { presentedCredential } from "../core/credential.ts";
import { misplaced } from "../core/key-binding.ts";
import type { Migration } from "../core/migration.ts";
import { endedByPhase } from "../core/migration.ts";
import type { Caller } from "../core/operator.ts";
import { callerName } from "../core/operator.ts";
import type { Policy, Role } from "../core/policy.ts";
import type { KeyVerifier } from "../core/ports.ts";
import type { Principal } from "../core/principal.ts";
import { headerLines } from "../core/request.ts";
import type { RevocationView } from "../core/revocation-view.ts";
import { grantedScopes } from "../core/scopes.ts";
import type { ProblemName } from "./problem.ts";

export interface CallerPorts {
  readonly policy: () => Policy;
  readonly verifier: KeyVerifier;
  readonly view: RevocationView;
  /** Whether so little is known of revocations that no key is taken. */
  readonly stale: () => boolean;
  readonly migration: Migration;
  readonly nowMs: () => number;
  /** Empty when `ADMIN_TOKEN` is `off`. */
  readonly adminTokens: readonly string[];
  readonly trustedHops: number;
}

/** A good key and what it may do now. */
export interface Holder {
  readonly principal: Principal;
  readonly role: Role;
  readonly scopes: readonly string[];
}

export type HolderResult =
  | { readonly ok: true; readonly holder: Holder }
  /** With the key's id where its signature is good. */
  | { readonly ok: false; readonly problem: ProblemName; readonly keyId?: string };

export type CallerResult =
  | { readonly ok: true; readonly caller: Caller }
  | { readonly ok: false; readonly problem: ProblemName };

/** Finds out who presents a token, and so who calls: the same judgement as a Check's, without route and limits. */
export async function holderOf(
  token: string,
  request: FastifyRequest,
  ports: CallerPorts,
): Promise<HolderResult> {
  const found = await goodKey(token, ports, () => addressOf(request, ports));
  const from = { address: () => addressOf(request, ports), certificate: () => certificateOf(request) };
  const wrong = found.ok ? misplaced(found.holder.principal, from) : undefined;
  const keyId = found.ok ? found.holder.principal.keyId : found.keyId;
  if (keyId !== undefined) request.actor = `key:${keyId}`;
  return wrong === undefined ? found : { ok: false, problem: wrong };
}

/** Finds out who a token belongs to, wherever it may be presented; by whom, where it is the caller itself. */
export async function goodKey(
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
  const ended = ports.view.ended(principal, nowMs) ?? phase;
  if (ended !== undefined) return { ok: false, problem: ended, keyId };
  const role = ports.policy().roles.get(principal.role);
  if (role === undefined) return { ok: false, problem: "credential_invalid", keyId };
  return { ok: true, holder: { principal, role, scopes: grantedScopes(principal.scopes, role.scopes) } };
}

/** Who calls. A credential that is there must be good: a bad one does not make its sender anonymous. */
export async function callerOf(request: FastifyRequest, ports: CallerPorts): Promise<CallerResult> {
  const presented = presentedCredential({ headers: headersOf(request) }, ["authorization", "x-api-key"]);
  if (presented.kind === "ambiguous") return { ok: false, problem: "credential_ambiguous" };
  if (presented.kind === "none")
    return { ok: true, caller: { kind: "anonymous", address: addressOf(request, ports) } };
  const admin = adminId(presented.token, ports.adminTokens);
  if (admin !== undefined) return callsAs(request, { kind: "admin", id: admin });
  const found = await holderOf(presented.token, request, ports);
  if (!found.ok) return { ok: false, problem: found.problem };
  const { principal, role, scopes } = found.holder;
  return { ok: true, caller: { kind: "key", id: principal.keyId, role, scopes } };
}

function callsAs(request: FastifyRequest, caller: Caller): CallerResult {
  request.actor = callerName(caller);
  return { ok: true, caller };
}

/** The client's address as far as `HTTP_TRUSTED_HOPS` tell. */
export function addressOf(request: FastifyRequest, ports: Pick<CallerPorts, "trustedHops">): string {
  const forwarded = headerLines({ headers: headersOf(request) }, "x-forwarded-for");
  return clientAddress(request.raw.socket.remoteAddress ?? "", forwarded, ports.trustedHops);
}

/** `x5t#S256` of the certificate that the caller showed this door, which takes only those of `HTTP_TLS_CLIENT_CA`. */
function certificateOf({ raw: { socket } }: FastifyRequest): string | undefined {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return certificate && hash("sha256", certificate.raw, "base64url");
}

/** Every line of every header: Node's own view hides all but the first of some. */
export function headersOf(request: FastifyRequest): ReadonlyMap<string, readonly string[]> {
  return new Map(Object.entries(request.raw.headersDistinct).map(([name, lines]) => [name, lines ?? []]));
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
