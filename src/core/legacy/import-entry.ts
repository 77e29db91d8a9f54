import type { KeyDateDeps } from "../keys/key-dates.ts";
import { mayBeDated, nowSeconds } from "../keys/key-dates.ts";
import type { KeyRecord, LegacyPart } from "../keys/key-record.ts";
import { NEVER } from "../keys/key-record.ts";
import type { PolicyDeps } from "../keys/new-key.ts";
import type { CallOrigin } from "../keys/operation-audit.ts";
import { mayGrant } from "../keys/operator.ts";
import { legacyRecord } from "./legacy-record.ts";
import type { LegacyForm } from "./ports.ts";

/** One V1 key to import: parsed, not yet checked. Times are NumericDates. */
export interface LegacyEntry {
  /** Its line in the file, from 1. */
  readonly line: number;
  /** Either the key or its SHA-256. */
  readonly key?: string;
  readonly sha256Hex?: string;
  readonly name: string;
  readonly role: string;
  readonly owner?: string;
  readonly createdAt?: number;
  readonly expiresAt?: number;
}

export type ImportEntryDeps = KeyDateDeps &
  PolicyDeps & {
    readonly legacy: Pick<LegacyForm, "isPlausible" | "storedForm" | "hashOfDigest">;
    readonly newRandom: () => string;
  };

/** The record of an entry, or the reason why the entry is rejected, as a text for the operator. */
export function recordFor(
  deps: ImportEntryDeps,
  entry: LegacyEntry,
  { caller }: CallOrigin,
): KeyRecord | string {
  const { legacy } = deps;
  const { key, sha256Hex = "", name, owner, createdAt, expiresAt } = entry;
  const policy = deps.policy();
  const role = policy.roles.get(entry.role);
  // If columns are exchanged, the role is a key, which no problem may contain.
  if (role === undefined) return "the policy has no such role";
  const scopes = [...role.scopes];
  if (!mayGrant(caller, scopes, role, policy)) return `the role ${entry.role} is not yours to grant`;
  if (key !== undefined && !legacy.isPlausible(key))
    return "the key could never be used: its checksum does not fit";
  const time = timeProblem(entry, nowSeconds(deps));
  if (time !== undefined) return time;
  const stored: LegacyPart =
    key === undefined ? { hash: legacy.hashOfDigest(sha256Hex) } : legacy.storedForm(key);
  const grant = {
    role,
    scopes,
    name,
    stored,
    selfService: false,
    ...(owner !== undefined && { owner }),
    ...(expiresAt !== undefined && { expiresAt }),
  };
  const issuedAt = createdAt ?? undatedAt(deps, entry);
  if (!mayBeDated(issuedAt, nowSeconds(deps)))
    return "keys of this role or owner have been cut off a few seconds ahead: import it later";
  return legacyRecord(deps, grant, issuedAt);
}

/** An entry without a date is dated like a new key: behind the known cut-offs of its role and owner. */
function undatedAt(deps: KeyDateDeps, { role, owner }: LegacyEntry): number {
  return Math.max(nowSeconds(deps), deps.view.cutOffBefore({ role, ...(owner !== undefined && { owner }) }));
}

/** A date in the future would exempt the key from the incident switch, which ends the keys issued before a moment. */
function timeProblem({ createdAt = 0, expiresAt = NEVER }: LegacyEntry, now: number): string | undefined {
  if (expiresAt <= now) return "has expired";
  if (createdAt > now) return "created_at lies ahead";
  return createdAt < 0 ? "created_at lies before 1970" : undefined;
}
