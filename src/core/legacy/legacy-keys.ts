import type { CommitDeps } from "../keys/commit.ts";
import { commit, ensureDurable, retryOnConflict } from "../keys/commit.ts";
import type { Issued, SigningDeps } from "../keys/issued-key.ts";
import { issueKey } from "../keys/issued-key.ts";
import { newKeyId, nowSeconds } from "../keys/key-dates.ts";
import { firstKey, MAX_KEY_LIFE_SECONDS } from "../keys/key-lifecycle.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { statusOf } from "../keys/key-record.ts";
import type { NewKeyDeps, PolicyDeps } from "../keys/new-key.ts";
import { commitNewKey, permitGrant } from "../keys/new-key.ts";
import type { AuditDeps, CallOrigin } from "../keys/operation-audit.ts";
import { auditEvent } from "../keys/operation-audit.ts";
import type { KeyReader } from "../keys/ports.ts";
import { exchanged, familyStartOf } from "../keys/refresh-rule.ts";
import type { DeniedOperation } from "../keys/registry-denial.ts";
import { denied } from "../keys/registry-denial.ts";
import type { RevocationView } from "../revocation/revocation-view.ts";
import { legacyRecord } from "./legacy-record.ts";
import type { Migration } from "./migration.ts";
import { mayMigrate } from "./migration.ts";
import type { LegacyForm, LegacyKeyReader } from "./ports.ts";

export type LegacyRegistrationDeps = NewKeyDeps & {
  readonly legacy: Pick<LegacyForm, "newKey" | "storedForm">;
};

interface StatusDeps {
  readonly nowMs: () => number;
  readonly view: Pick<RevocationView, "endReason">;
}

export type MigrationDeps = CommitDeps &
  AuditDeps &
  SigningDeps &
  PolicyDeps &
  StatusDeps & {
    readonly store: KeyReader & LegacyKeyReader;
    readonly migration: Pick<Migration, "state">;
    readonly legacy: Pick<LegacyForm, "hashes">;
  };

/** A V1 key that is returned to the caller. It is not stored. */
export interface IssuedLegacy {
  readonly kind: "issued_legacy";
  readonly record: KeyRecord;
  readonly key: string;
}

/** Registers an opaque key, like the API that Latchkey replaces. */
export async function registerLegacyKey(
  deps: LegacyRegistrationDeps,
  registration: { readonly name: string; readonly role: string },
  origin: CallOrigin,
): Promise<IssuedLegacy | DeniedOperation> {
  if (deps.migration.state().phase === "removed") return denied("legacy_removed");
  const permitted = permitGrant(deps, registration, origin.caller);
  if ("kind" in permitted) return permitted;
  const key = deps.legacy.newKey();
  const grant = { ...permitted, name: registration.name, stored: deps.legacy.storedForm(key) };
  return commitNewKey<IssuedLegacy>(
    deps,
    {
      subject: { role: permitted.role.name },
      event: "legacy_key_registered",
      record: (issuedAt) => legacyRecord(deps, grant, issuedAt),
      result: (record) => ({ kind: "issued_legacy", record, key }),
    },
    origin,
  );
}

/**
 * Exchanges a V1 key for a V2 key of the same family, role and buckets. A repetition returns the same key while that is valid
 * and unrefreshed, otherwise another key of the family, because many machines may share the V1 key. The family's age
 * counts from its first V2 key.
 */
export function migrateLegacyKey(
  deps: MigrationDeps,
  legacyKey: string,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  return retryOnConflict<Issued | DeniedOperation>(async () => {
    const { migration } = deps.policy();
    if (!mayMigrate(deps.migration.state(), migration, deps.nowMs())) return denied("legacy_removed");
    const current = await deps.store.findLegacy(deps.legacy.hashes(legacyKey));
    if (current?.legacy === undefined) return denied("key_unknown");
    const ended = endReasonOf(deps, current);
    if (ended !== undefined) return denied(ended);
    const { successorId } = current.legacy;
    const earlier = successorId && (await deps.store.load(successorId));
    if (earlier && isUnrefreshed(deps, earlier)) {
      await ensureDurable(deps, [current, earlier]);
      return issueKey(deps, earlier, { replayed: true });
    }
    return exchange(deps, current, origin);
  });
}

/** Ignores the phase: a machine with a copy of an exchanged key also gets a V2 key. */
function endReasonOf({ view, nowMs: clock }: StatusDeps, record: KeyRecord) {
  const nowMs = clock();
  if (view.endReason(record, nowMs) === "key_revoked") return "key_revoked";
  const status = statusOf(record, Math.floor(nowMs / 1000));
  if (status === "revoked" || status === "expired" || status === "disabled") return `key_${status}` as const;
  // An operator has replaced the key, so copies of it cannot be exchanged.
  const replaced = record.successor !== undefined && nowMs >= record.successor.notAfter * 1000;
  return replaced ? "key_superseded" : undefined;
}

function isUnrefreshed({ nowMs }: StatusDeps, successor: KeyRecord): boolean {
  return statusOf(successor, Math.floor(nowMs() / 1000)) === "active";
}

async function exchange(
  deps: MigrationDeps,
  current: KeyRecord,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation | "conflict"> {
  const role = deps.policy().roles.get(current.role);
  if (role === undefined || current.legacy === undefined) return denied("role_unknown");
  // The V1 key may be dated ahead, behind a cut-off of this second. Its V2 key must not be dated earlier.
  const now = Math.max(nowSeconds(deps), current.issuedAt);
  const { scopes, name, metadata, owner, selfService, family } = current;
  const grant = {
    role,
    scopes: scopes.filter((scope) => role.scopes.has(scope)),
    name,
    ...(metadata !== undefined && { metadata }),
    ...(owner !== undefined && { owner }),
    selfService,
  };
  const ids = { keyId: newKeyId(deps, role.name, now), family };
  const next = firstKey(grant, ids, now, familyStartOf(current, now));
  if (next.expiresAt <= now) return denied("family_too_old");
  const expiresAt = Math.min(next.expiresAt, current.expiresAt, now + MAX_KEY_LIFE_SECONDS);
  const old: KeyRecord = {
    ...current,
    legacy: { ...current.legacy, ...exchanged(current, now).legacy, successorId: next.keyId },
    version: current.version + 1,
  };
  const made = { ...next, expiresAt, refreshAfter: Math.min(next.refreshAfter, expiresAt) };
  const outcome = await commit(deps, {
    put: [old, made],
    // The V1 key must be alive: a cut-off that has ended it must not leave a successor.
    requires: { living: current },
    audit: [auditEvent(deps, origin, "legacy_key_migrated", current)],
  });
  if (outcome.kind === "ended") return denied("key_revoked");
  return outcome.kind === "committed" ? issueKey(deps, made, { replayed: false }) : "conflict";
}
