import type { KeyRecord, LegacyPart } from "./key-record.ts";
import { legacyRecord } from "./legacy-keys.ts";
import { mayGrant } from "./operator.ts";
import type { CallOrigin, Registry } from "./registry.ts";
import { auditEvent, commit, nowSeconds } from "./registry.ts";

/** One V1 key to be taken over: parsed, not yet judged. Times are NumericDates. */
export interface LegacyEntry {
  /** Its place in the file, from 1. */
  readonly line: number;
  /** One of the two. */
  readonly key?: string;
  readonly sha256Hex?: string;
  readonly name: string;
  readonly role: string;
  readonly owner?: string;
  readonly createdAt?: number;
  readonly expiresAt?: number;
}

export interface RefusedLine {
  readonly line: number;
  readonly detail: string;
}

export interface ImportReport {
  readonly imported: number;
  /** They were there already: importing a file again changes nothing. */
  readonly known: number;
  readonly refused: readonly RefusedLine[];
}

/** Takes over V1 keys of another system. Nobody imports what they may not grant. With `dryRun` nothing is written. */
export async function importLegacyKeys(
  registry: Registry,
  entries: readonly LegacyEntry[],
  origin: CallOrigin,
  dryRun: boolean,
): Promise<ImportReport> {
  const refused: RefusedLine[] = [];
  const records: KeyRecord[] = [];
  const seen = new Set<string>();
  for (const entry of entries) {
    const kept = keptAs(registry, entry);
    // A key and its own SHA-256 have one alias.
    const id = kept.alias ?? kept.hash;
    const made = seen.has(id) ? "stands in the file twice" : recordFor(registry, entry, kept, origin);
    seen.add(id);
    if (typeof made === "string") refused.push({ line: entry.line, detail: made });
    else records.push(made);
  }
  const written = dryRun ? await wouldBeWritten(registry, records) : await write(registry, records, origin);
  const imported = written.filter(Boolean).length;
  return { imported, known: written.length - imported, refused };
}

function keptAs({ legacy }: Registry, { key, sha256Hex = "" }: LegacyEntry): LegacyPart {
  return key === undefined ? { hash: legacy.hashOfDigest(sha256Hex) } : legacy.kept(key);
}

/** The record, or in words why there is none. */
function recordFor(
  registry: Registry,
  entry: LegacyEntry,
  kept: LegacyPart,
  { caller }: CallOrigin,
): KeyRecord | string {
  const policy = registry.policy();
  const role = policy.roles.get(entry.role);
  if (role === undefined) return `no such role: ${entry.role}`;
  const scopes = [...role.scopes];
  if (!mayGrant(caller, scopes, role, policy)) return `the role ${entry.role} is not yours to grant`;
  if (entry.expiresAt !== undefined && entry.expiresAt <= nowSeconds(registry)) return "has expired";
  const { name, owner, createdAt, expiresAt } = entry;
  return legacyRecord(registry, {
    role,
    scopes,
    name,
    kept,
    selfService: false,
    ...(owner !== undefined && { owner }),
    ...(createdAt !== undefined && { issuedAt: createdAt }),
    ...(expiresAt !== undefined && { expiresAt }),
  });
}

async function wouldBeWritten(registry: Registry, records: readonly KeyRecord[]): Promise<boolean[]> {
  const there = await Promise.all(records.map(({ legacy }) => registry.store.findLegacy(hashesOf(legacy))));
  return there.map((record) => record === undefined);
}

function hashesOf(legacy: LegacyPart | undefined): readonly string[] {
  return [legacy?.hash, legacy?.alias].filter((hash) => hash !== undefined);
}

async function write(
  registry: Registry,
  records: readonly KeyRecord[],
  origin: CallOrigin,
): Promise<readonly boolean[]> {
  if (records.length === 0) return [];
  const event = auditEvent(registry, origin, "legacy_keys_imported", {});
  const written = await registry.store.importLegacy(records, {
    ...event,
    reason: `${records.length} presented`,
  });
  // Whoever tried one of them before was told that it is none.
  await commit(registry, { put: [], tell: [{ kind: "legacy", hashes: [] }], audit: [] });
  return written;
}
