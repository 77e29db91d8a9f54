import type { AuditEventName } from "../audit/audit-event.ts";
import type { OncePer } from "../cache/once-per.ts";
import { createOncePer } from "../cache/once-per.ts";
import { addressGroup } from "../decision/client-address.ts";
import type { Principal } from "../decision/principal.ts";
import type { RefreshRequest, RefreshResult } from "./key-lifecycle.ts";
import { refreshKey } from "./key-lifecycle.ts";
import type { KeyRecord } from "./key-record.ts";
import { mayGrant } from "./operator.ts";
import type { CallOrigin, DeniedOperation, Issued, Registry } from "./registry.ts";
import {
  auditEvent,
  commit,
  commitAnyhow,
  ensureDurable,
  issued,
  newKeyId,
  nowSeconds,
  refused,
  retryOnConflict,
} from "./registry.ts";

/** Refreshes the key that its holder presented: verified, perhaps ended since. */
export function refreshByHolder(
  registry: Registry,
  holder: Principal,
  idempotencyKey: string | undefined,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  const idempotency =
    idempotencyKey && registry.digest(JSON.stringify(["refresh", holder.keyId, idempotencyKey]));
  return renew(
    registry,
    holder.keyId,
    { event: "key_refreshed", ...(idempotency ? { idempotency } : {}) },
    origin,
  );
}

/** A successor now, by an operator who may grant what the key holds. */
export function rotateByOperator(
  registry: Registry,
  keyId: string,
  overlapSeconds: number | undefined,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  const rotation = overlapSeconds === undefined ? {} : { overlapSeconds };
  return renew(registry, keyId, { event: "key_rotated", rotation }, origin);
}

interface Renewal extends Pick<RefreshRequest, "idempotency" | "rotation"> {
  readonly event: Extract<AuditEventName, "key_refreshed" | "key_rotated">;
}

function renew(
  registry: Registry,
  keyId: string,
  renewal: Renewal,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  return retryOnConflict<Issued | DeniedOperation>(async () => {
    const current = await registry.store.load(keyId);
    if (current === undefined) return refused("key_unknown");
    const role = registry.policy().roles.get(current.role);
    if (role === undefined) return refused("role_unknown");
    if (registry.view.endReason(current, registry.nowMs()) === "key_revoked") return refused("key_revoked");
    if (renewal.rotation !== undefined && !mayGrant(origin.caller, current.scopes, role, registry.policy())) {
      return refused("grant_refused");
    }
    const { event, ...how } = renewal;
    const result = refreshKey(current, {
      ...how,
      role,
      nextKeyId: newKeyId(registry, role.name),
      nowSeconds: nowSeconds(registry),
    });
    if (result.kind !== "minted") return notMinted(registry, current, result, event, origin);
    const outcome = await commit(registry, {
      put: [result.old, result.next],
      requires: { living: current },
      audit: [auditEvent(registry, origin, event, current)],
    });
    if (outcome.kind === "ended") return refused("key_revoked");
    return outcome.kind === "committed" ? issued(registry, result.next, false) : "conflict";
  });
}

async function notMinted(
  registry: Registry,
  current: KeyRecord,
  result: Exclude<RefreshResult, { kind: "minted" }>,
  event: Renewal["event"],
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  if (result.kind === "again") {
    const successor = await registry.store.load(result.keyId);
    if (successor === undefined) return refused("key_unknown");
    await ensureDurable(registry);
    return issued(registry, successor, true);
  }
  const { reason } = result;
  if (reason === "already_refreshed") await auditReuse(registry, current, event, origin);
  if (reason === "refresh_too_early") return { kind: "refused", reason, refreshAfter: current.refreshAfter };
  return refused(reason);
}

const REUSE_AUDITED_EVERY_MS = 3_600_000;
const MAX_REMEMBERED_REUSES = 10_000;

/** Which second refreshes an instance has audited within the hour. */
export function rememberReuse(monotonicMs: () => number): OncePer {
  return createOncePer(REUSE_AUDITED_EVERY_MS, MAX_REMEMBERED_REUSES, monotonicMs);
}

/**
 * A second refresh may be a thief's: it is audited although nothing changes. Repetitions are not: there is one line for each
 * key and client address in an hour. So a thief's attempt is not hidden by the holder's own, nor the other way round.
 */
async function auditReuse(
  registry: Registry,
  current: KeyRecord,
  event: Renewal["event"],
  origin: CallOrigin,
): Promise<void> {
  const id = `${event} ${current.keyId} ${addressGroup(origin.address ?? "")}`;
  if (!registry.auditedReuse.isDue(id)) return;
  const audit = [auditEvent(registry, origin, event, current, "already_refreshed")];
  await commitAnyhow(registry, () => ({ put: [], audit }));
  registry.auditedReuse.record(id);
}
