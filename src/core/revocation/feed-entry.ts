import type { MigrationState } from "../legacy/migration.ts";
import { isPhase } from "../legacy/migration.ts";
import type { StoredOverride } from "../overrides/override.ts";
import { decodeOverride, encodeOverride } from "../overrides/override-codec.ts";
import type { CutOff, Ending } from "./revocation.ts";

/** An entry of the revocation feed, which instances publish to each other. */
export type FeedEntry =
  | Ending
  | StoredOverride
  /** Buckets that an operator has reset. Leases on them are void. */
  | { readonly kind: "buckets"; readonly bucketIds: readonly string[] }
  /** The migration phase of V1 keys. */
  | { readonly kind: "phase"; readonly state: MigrationState }
  /** V1 keys that have changed. An empty list means that V1 keys were added. */
  | { readonly kind: "legacy"; readonly keyIds: readonly string[] };

const REVOKED = 1;
const DISABLED = 2;

/** Encodes an entry as one line of text. It is short, because a store keeps one for each ended key. */
export function encodeFeedEntry(entry: FeedEntry): string {
  switch (entry.kind) {
    case "key": {
      const flags = (entry.revoked ? REVOKED : 0) + (entry.disabled ? DISABLED : 0);
      return JSON.stringify(["k", entry.keyId, entry.version, entry.expiresAt, flags, entry.notAfter ?? 0]);
    }
    case "family":
      return JSON.stringify(["f", entry.family, entry.until]);
    case "cutoff":
      return JSON.stringify(["c", entry.scope, entry.subject, entry.before, entry.until]);
    case "override":
      return encodeOverride(entry);
    case "buckets":
      return JSON.stringify(["b", ...entry.bucketIds]);
    case "phase": {
      const { phase, chosen, deprecatedAt, version } = entry.state;
      return JSON.stringify(["p", phase, chosen ? 1 : 0, deprecatedAt ?? 0, version]);
    }
    case "legacy":
      return JSON.stringify(["l", ...entry.keyIds]);
  }
}

/**
 * Decodes an entry; undefined for a kind of a later version, and for damaged text. Each part is read at its place: a part of
 * another type must not move the parts after it. Further parts are ignored, because a later version may add them.
 */
export function decodeFeedEntry(text: string): FeedEntry | undefined {
  const list = parseList(text);
  const [kind] = list;
  // A start decodes a hundred thousand of this kind, so it is read without a copy of its parts.
  if (kind === "k") return keyEntry(list);
  const parts = list.slice(1);
  switch (kind) {
    case "f":
      return familyEntry(parts);
    case "c":
      return cutOffEntry(parts);
    case "o":
      return decodeOverride(parts);
    case "b":
      return parts.every(isText) ? { kind: "buckets", bucketIds: parts } : undefined;
    case "p":
      return phaseEntry(parts);
    case "l":
      return parts.every(isText) ? { kind: "legacy", keyIds: parts } : undefined;
    default:
      return undefined;
  }
}

function keyEntry([, keyId, version, expiresAt, flags, notAfter = 0]: readonly unknown[]):
  | FeedEntry
  | undefined {
  if (!isText(keyId) || !isWhole(version) || !isWhole(expiresAt) || !isWhole(flags) || !isWhole(notAfter))
    return undefined;
  const [revoked, disabled] = [(flags & REVOKED) !== 0, (flags & DISABLED) !== 0];
  const entry = { kind: "key", keyId, version, expiresAt, revoked, disabled } as const;
  return notAfter === 0 ? entry : { ...entry, notAfter };
}

function familyEntry([family, until]: readonly unknown[]): FeedEntry | undefined {
  return isText(family) && isWhole(until) ? { kind: "family", family, until } : undefined;
}

function cutOffEntry([scope, subject, before, until]: readonly unknown[]): FeedEntry | undefined {
  if (!isScope(scope) || !isText(subject) || !isWhole(before) || !isWhole(until)) return undefined;
  return { kind: "cutoff", scope, subject, before, until };
}

function phaseEntry([phase, chosen, deprecatedAt, version]: readonly unknown[]): FeedEntry | undefined {
  if (!isText(phase) || !isPhase(phase) || !isWhole(chosen) || !isWhole(deprecatedAt) || !isWhole(version))
    return undefined;
  const state = { phase, chosen: chosen === 1, ...(deprecatedAt === 0 ? {} : { deprecatedAt }), version };
  return { kind: "phase", state };
}

function isText(part: unknown): part is string {
  return typeof part === "string";
}

function isWhole(part: unknown): part is number {
  return Number.isSafeInteger(part);
}

function isScope(part: unknown): part is CutOff["scope"] {
  return part === "all" || part === "role" || part === "owner";
}

function parseList(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
