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

/** Decodes an entry; undefined for a kind of a later version, and for damaged text. */
export function decodeFeedEntry(text: string): FeedEntry | undefined {
  const list = parseList(text);
  // A start decodes a hundred thousand of this kind.
  if (list[0] === "k") return keyEntry(list);
  const [kind, ...rest] = list;
  if (kind === "o") return decodeOverride(rest);
  const texts = rest.filter((part) => typeof part === "string");
  const numbers = rest.filter((part) => Number.isSafeInteger(part)).map(Number);
  switch (kind) {
    case "f":
      return texts.length === 1 && numbers.length === 1
        ? { kind: "family", family: texts[0] ?? "", until: numbers[0] ?? 0 }
        : undefined;
    case "c":
      return cutOffEntry(texts, numbers);
    case "p": {
      const state = phaseState(texts, numbers);
      return state && { kind: "phase", state };
    }
    case "l":
      return texts.length === rest.length ? { kind: "legacy", keyIds: texts } : undefined;
    case "b":
      return texts.length === rest.length ? { kind: "buckets", bucketIds: texts } : undefined;
    default:
      return undefined;
  }
}

function phaseState(
  [phase]: readonly string[],
  [chosen, deprecatedAt, version]: readonly number[],
): MigrationState | undefined {
  if (phase === undefined || !isPhase(phase) || version === undefined) return undefined;
  return { phase, chosen: chosen === 1, ...(deprecatedAt ? { deprecatedAt } : {}), version };
}

function keyEntry([, keyId, version, expiresAt, flags, notAfter]: readonly unknown[]) {
  if (typeof keyId !== "string" || !isInteger(version) || !isInteger(expiresAt) || !isInteger(flags))
    return undefined;
  const [revoked, disabled] = [(flags & REVOKED) !== 0, (flags & DISABLED) !== 0];
  const entry = { kind: "key", keyId, version, expiresAt, revoked, disabled } as const;
  return isInteger(notAfter) && notAfter !== 0 ? { ...entry, notAfter } : entry;
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function cutOffEntry([scope, subject]: readonly string[], [before, until]: readonly number[]) {
  if (!isScope(scope) || subject === undefined || before === undefined || until === undefined)
    return undefined;
  return { kind: "cutoff", scope, subject, before, until } as const;
}

function isScope(text: string | undefined): text is CutOff["scope"] {
  return text === "all" || text === "role" || text === "owner";
}

function parseList(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
