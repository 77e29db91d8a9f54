import type { KeyRecord, LegacyPart } from "../keys/key-record.ts";
import { encodeRecord } from "../keys/key-record-codec.ts";

/**
 * Merges two versions of a record. The newer one counts, but what ends a key is permanent: a revocation, a successor or an
 * exchange of either version stays. Returns undefined if the stored record has all of it.
 */
export function mergeRecord(source: KeyRecord, stored: KeyRecord | undefined): KeyRecord | undefined {
  if (stored === undefined) return source;
  const order = orderOf(source) - orderOf(stored) || source.version - stored.version;
  const [newer, older] = order > 0 ? [source, stored] : [stored, source];
  const merged = withEndsOf(newer, older, order === 0);
  if (isSame(merged, stored)) return undefined;
  if (isSame(merged, source) && order > 0) return source;
  return {
    ...merged,
    version: Math.max(source.version, stored.version) + 1,
    changedAt: Math.max(orderOf(source), orderOf(stored)) + 1,
  };
}

/** As in the feed: two stores may have given the same version to different changes. */
function orderOf({ changedAt, version }: KeyRecord): number {
  return changedAt ?? version;
}

function withEndsOf(newer: KeyRecord, older: KeyRecord, isTie: boolean): KeyRecord {
  const revokedAt = newer.revokedAt ?? older.revokedAt;
  const successor = newer.successor ?? older.successor;
  const legacy = newer.legacy && mergeLegacy(newer.legacy, older.legacy);
  return {
    ...newer,
    disabled: newer.disabled || (isTie && older.disabled),
    ...(revokedAt !== undefined && { revokedAt }),
    ...(successor !== undefined && { successor }),
    ...(legacy !== undefined && { legacy }),
  };
}

function mergeLegacy(newer: LegacyPart, older: LegacyPart | undefined): LegacyPart {
  if (newer.migratedAt !== undefined || older?.migratedAt === undefined) return newer;
  const { migratedAt, successorId } = older;
  return { ...newer, migratedAt, ...(successorId !== undefined && { successorId }) };
}

function isSame(one: KeyRecord, other: KeyRecord): boolean {
  return encodeRecord(one) === encodeRecord(other);
}
