import { ownerOf } from "../core/decision/principal.ts";
import { encodeFreeze } from "../core/keys/freeze.ts";
import type { CommitOutcome, CommitRequirement, KeyChange, OverrideChange } from "../core/keys/key-change.ts";
import { DECIDED_WITHIN_SECONDS, stopsWhileFrozen } from "../core/keys/key-change.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { countsAsSelfService, NEVER, ownerCountOf } from "../core/keys/key-record.ts";
import { encodeRecord } from "../core/keys/key-record-codec.ts";
import type { MigrationState, MigrationStep } from "../core/legacy/migration.ts";
import { KEEP_CLEARED_SECONDS } from "../core/overrides/override.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import { endsKey, restrictionOf } from "../core/revocation/revocation.ts";

import type { RegistryKeys } from "./names.ts";
import { cutOffField, overrideField } from "./names.ts";

/** A record outlives its retention by this, so that the sweep can read its owner and its hashes. */
export const SWEEP_GRACE_SECONDS = 86_400;

/** The Redis keys of one record, in the order that commit.lua and import.lua expect. */
export function namesOf(
  keys: RegistryKeys,
  { keyId, owner, role, legacy }: Pick<KeyRecord, "keyId" | "owner" | "role" | "legacy">,
): readonly string[] {
  return [
    keys.key(keyId),
    owner === undefined ? keys.nothing : keys.byOwner(owner),
    legacy === undefined ? keys.nothing : keys.legacyHash(legacy.hash),
    legacy === undefined ? keys.nothing : keys.legacyUse(role),
    legacy === undefined ? keys.nothing : keys.legacyHash(legacy.alias ?? legacy.hash),
    legacy === undefined ? keys.nothing : keys.legacyUnmigrated(role),
    owner === undefined ? keys.nothing : keys.activeByOwner(owner),
    owner === undefined ? keys.nothing : keys.overlapByOwner(owner),
  ];
}

/** A change in the form of commit.lua. */
export function toWire(change: KeyChange, forgetAfterSeconds: number) {
  const { nowSeconds, put, end, override, requires, remember, audit, migration } = change;
  const { feedEntries = [], freeze } = change;
  return {
    feed: feedEntries.map(encodeFeedEntry),
    ...(migration && { migration: stepToWire(migration) }),
    now: nowSeconds,
    within: DECIDED_WITHIN_SECONDS,
    ...(requires?.living && { living: livingToWire(requires.living) }),
    ...(requires?.selfServiceBelow !== undefined && {
      selfServiceBelow: requires.selfServiceBelow,
    }),
    ...(requires?.ownedBelow && { ownedBelow: requires.ownedBelow }),
    countUntil: requires?.legacyEnded ? `(${NEVER}` : "+inf",
    ...(requires?.beyondIssued && { beyondIssued: true }),
    put: put.map((record) => recordToWire(record, forgetAfterSeconds)),
    ...(remember && {
      call: {
        text: JSON.stringify([remember.bodyDigest, remember.keyId, remember.until]),
        until: remember.until,
      },
    }),
    ...(end && { endEntry: encodeFeedEntry(end) }),
    ...(end?.kind === "key" && {
      endKey: { id: end.keyId, expiresAt: end.expiresAt, entry: encodeFeedEntry(end) },
    }),
    ...(end?.kind === "family" && { endFamily: { family: end.family, until: end.until } }),
    ...(end?.kind === "cutoff" && {
      cutOff: { field: cutOffField(end), before: end.before, until: end.until },
    }),
    ...(override && { override: overrideToWire(override) }),
    ...(stopsWhileFrozen(change) && { stopsWhileFrozen: true }),
    ...(freeze && { freeze: freeze === "thaw" ? "" : encodeFreeze(freeze) }),
    audit: audit.map((event) => JSON.stringify(event)),
  };
}

/** The script replaces version 0 in the entry. */
function overrideToWire({ replaces, above, below, ...override }: OverrideChange) {
  const keepSeconds = override.content === undefined || override.expiresAt !== undefined;
  return {
    field: overrideField(override),
    entry: encodeFeedEntry({ ...override, version: 0 }),
    replaces,
    above,
    below,
    ...(keepSeconds && { keep: KEEP_CLEARED_SECONDS }),
    ...(override.content !== undefined && { expiresAt: override.expiresAt }),
  };
}

function stepToWire({ from, to }: MigrationStep) {
  const textOf = (state: MigrationState) => encodeFeedEntry({ kind: "phase", state });
  return { ...(from && { from: textOf(from) }), to: textOf(to) };
}

function livingToWire(living: NonNullable<CommitRequirement["living"]>) {
  const { family, role, issuedAt } = living;
  return { family, issuedAt, cutOffs: ["all:", `role:${role}`, `owner:${ownerOf(living)}`] };
}

export function recordToWire(record: KeyRecord, forgetAfterSeconds: number) {
  const restriction = restrictionOf(record);
  const owned = ownerCountOf(record);
  return {
    id: record.keyId,
    family: record.family,
    version: record.version,
    text: encodeRecord(record),
    issuedAt: record.issuedAt,
    expiresAt: record.expiresAt,
    forgetAt: record.expiresAt + forgetAfterSeconds,
    ownerCut: cutOffField({ scope: "owner", subject: ownerOf(record) }),
    selfService: countsAsSelfService(record),
    owned: record.owner !== undefined,
    ...(owned !== undefined && { [`${owned.as}Until`]: owned.until }),
    hashed: record.legacy !== undefined,
    migrated: record.legacy?.migratedAt !== undefined,
    entry: encodeFeedEntry(restriction),
    ended: endsKey(restriction),
  };
}

/** The reply of commit.lua. */
export function toOutcome(reply: unknown): CommitOutcome {
  const [kind, number, version]: readonly unknown[] = Array.isArray(reply) ? reply : [];
  if (kind === "committed") {
    return {
      kind,
      ...(typeof number === "string" && number !== "" && { auditCursor: number }),
      ...(typeof version === "string" && version !== "" && { overrideVersion: Number(version) }),
    };
  }
  if (kind === "conflict" || kind === "full" || kind === "owner_full" || kind === "too_many_overrides")
    return { kind };
  if (kind === "ended") return number === undefined ? { kind } : { kind, before: Number(number) };
  if (kind === "frozen") return { kind, until: Number(number) };
  if (kind === "early") return { kind, before: Number(number) };
  if (kind === "clock") return { kind, nowMs: Number(number) };
  throw new Error("commit.lua sent an unexpected reply");
}
