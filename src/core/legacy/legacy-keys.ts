import { exchanged, familyStartOf, firstKey, MAX_KEY_LIFE_SECONDS } from "../keys/key-lifecycle.ts";
import type { KeyRecord, LegacyPart } from "../keys/key-record.ts";
import { NEVER, statusOf } from "../keys/key-record.ts";
import type { Registration } from "../keys/key-registration.ts";
import { permit, requirements } from "../keys/key-registration.ts";
import type { CallOrigin, DeniedOperation, Issued, Registry } from "../keys/registry.ts";
import {
  auditEvent,
  commit,
  ensureDurable,
  issued,
  issueTime,
  issueTimeAfter,
  newKeyId,
  nowSeconds,
  refused,
  retryOnConflict,
} from "../keys/registry.ts";
import type { Role } from "../policy/policy.ts";
import { mayMigrate } from "./migration.ts";

/** A V1 key that the caller gets to see, this once. */
export interface IssuedLegacy {
  readonly kind: "issued_legacy";
  readonly record: KeyRecord;
  readonly key: string;
}

/** Registers an opaque key, as the API that Latchkey carries on did. */
export async function registerLegacyKey(
  registry: Registry,
  registration: Pick<Registration, "name" | "role">,
  origin: CallOrigin,
): Promise<IssuedLegacy | DeniedOperation> {
  if (registry.migration.state().phase === "removed") return refused("legacy_removed");
  const permitted = permit(registry, registration, origin.caller);
  if ("kind" in permitted) return permitted;
  const key = registry.legacy.newKey();
  const { role, scopes, selfService } = permitted;
  const grant = { role, scopes, name: registration.name, kept: registry.legacy.storedForm(key), selfService };
  let earliest = 0;
  return retryOnConflict<IssuedLegacy | DeniedOperation>(async () => {
    const now = nowSeconds(registry);
    const record = legacyRecord(registry, grant, issueTime(registry, { role: role.name }, earliest));
    const outcome = await commit(registry, {
      put: [record],
      requires: requirements(registry, record),
      audit: [auditEvent(registry, origin, "legacy_key_registered", record)],
    });
    if (outcome.kind === "committed") return { kind: "issued_legacy", record, key };
    if (outcome.kind === "full") return refused("too_many_keys");
    if (outcome.kind === "ended") earliest = issueTimeAfter(outcome.before, now);
    return "conflict";
  });
}

export interface LegacyGrant {
  readonly role: Role;
  readonly scopes: readonly string[];
  readonly name: string;
  readonly kept: LegacyPart;
  readonly selfService: boolean;
  readonly owner?: string;
  /** NumericDate. */
  readonly expiresAt?: number;
}

/** The record of a V1 key: its id and its family show what it is, and it ends only when it is told to. */
export function legacyRecord(registry: Registry, grant: LegacyGrant, issuedAt: number): KeyRecord {
  const family = `fam_v1${registry.newRandom()}`;
  return {
    keyId: `${grant.role.name}_${Math.max(0, issuedAt)}_v1${registry.newRandom()}`,
    family,
    familyStartedAt: issuedAt,
    ...(grant.owner !== undefined && { owner: grant.owner }),
    role: grant.role.name,
    scopes: grant.scopes,
    name: grant.name,
    issuedAt,
    expiresAt: grant.expiresAt ?? NEVER,
    refreshAfter: NEVER,
    selfService: grant.selfService,
    disabled: false,
    legacy: grant.kept,
    version: 1,
  };
}

/**
 * Exchanges a V1 key for a V2 key of the same family: same role, same buckets. Again: the same key while it lives
 * unrefreshed, then another of the family, for many machines may share the old one. The family's age goes on from its first V2 key.
 */
export function migrateLegacyKey(
  registry: Registry,
  legacyKey: string,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  return retryOnConflict<Issued | DeniedOperation>(async () => {
    const state = registry.migration.state();
    const { migration } = registry.policy();
    if (!mayMigrate(state, migration, registry.nowMs())) return refused("legacy_removed");
    const current = await registry.store.findLegacy(registry.legacy.hashes(legacyKey));
    if (current?.legacy === undefined) return refused("key_unknown");
    const ended = endReasonOf(registry, current);
    if (ended !== undefined) return refused(ended);
    const { legacy } = current;
    const earlier = legacy.successorId && (await registry.store.load(legacy.successorId));
    if (earlier && isUnrefreshed(registry, earlier)) {
      await ensureDurable(registry);
      return issued(registry, earlier, true);
    }
    return exchange(registry, current, origin);
  });
}

/** Not by its phase: whoever comes late, with a copy of a key that another machine has exchanged, gets a V2 key too. */
function endReasonOf(registry: Registry, record: KeyRecord) {
  const nowMs = registry.nowMs();
  if (registry.view.endReason(record, nowMs) === "key_revoked") return "key_revoked";
  const status = statusOf(record, Math.floor(nowMs / 1000));
  if (status === "revoked" || status === "expired" || status === "disabled") return `key_${status}` as const;
  // An operator has replaced it: whoever has a copy of it gets nothing more.
  const replaced = record.successor !== undefined && nowMs >= record.successor.notAfter * 1000;
  return replaced ? "key_superseded" : undefined;
}

function isUnrefreshed(registry: Registry, successor: KeyRecord): boolean {
  return (
    successor.successor === undefined && statusOf(successor, Math.floor(registry.nowMs() / 1000)) === "active"
  );
}

async function exchange(
  registry: Registry,
  current: KeyRecord,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation | "conflict"> {
  const role = registry.policy().roles.get(current.role);
  if (role === undefined || current.legacy === undefined) return refused("role_unknown");
  // Never behind the key that it is made from, which may be dated past a cut-off of this second.
  const now = Math.max(nowSeconds(registry), current.issuedAt);
  const { scopes, name, metadata, owner, selfService, family } = current;
  const grant = {
    role,
    scopes: scopes.filter((scope) => role.scopes.has(scope)),
    name,
    ...(metadata !== undefined && { metadata }),
    ...(owner !== undefined && { owner }),
    selfService,
  };
  const ids = { keyId: newKeyId(registry, role.name, now), family };
  const next = firstKey(grant, ids, now, familyStartOf(current, now));
  if (next.expiresAt <= now) return refused("family_too_old");
  const expiresAt = Math.min(next.expiresAt, current.expiresAt, now + MAX_KEY_LIFE_SECONDS);
  const old: KeyRecord = {
    ...current,
    legacy: { ...current.legacy, ...exchanged(current, now).legacy, successorId: next.keyId },
    version: current.version + 1,
  };
  const made = { ...next, expiresAt, refreshAfter: Math.min(next.refreshAfter, expiresAt) };
  const outcome = await commit(registry, {
    put: [old, made],
    // Of the old key: what has cut it off must not leave it a successor.
    requires: { living: current },
    audit: [auditEvent(registry, origin, "legacy_key_migrated", current)],
  });
  if (outcome.kind === "ended") return refused("key_revoked");
  return outcome.kind === "committed" ? issued(registry, made, false) : "conflict";
}
