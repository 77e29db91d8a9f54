import type { KeyRecord, LegacyPart } from "../keys/key-record.ts";
import { NEVER } from "../keys/key-record.ts";
import { mayGrant } from "../keys/operator.ts";
import type { CallOrigin, Registry } from "../keys/registry.ts";
import { auditEvent, commitAnyhow, ensureDurable, mayBeDated, nowSeconds } from "../keys/registry.ts";
import { legacyRecord } from "./legacy-keys.ts";

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

export interface RejectedLine {
  readonly line: number;
  readonly detail: string;
}

export interface ImportReport {
  readonly imported: number;
  /** They were there already, and are the same: importing a file again changes nothing. */
  readonly known: number;
  readonly refused: readonly RejectedLine[];
}

/** A line that may be taken over. */
interface Candidate {
  readonly line: number;
  readonly record: KeyRecord;
}

/** A line whose key is there already, or stands in the import before. */
interface Found extends Candidate {
  readonly earlier: Standing;
}

/** What an import cannot change of a key. */
type Standing = Pick<KeyRecord, "role" | "expiresAt"> & { readonly owner?: string | undefined };

/**
 * Takes over V1 keys of another system, one portion after the other: each is a transaction of its own, and between two the
 * caller may let others have their turn. Nobody imports what they may not grant. With `dryRun` nothing is written.
 */
export async function importLegacyKeys(
  registry: Registry,
  portions: Iterable<readonly LegacyEntry[]> | AsyncIterable<readonly LegacyEntry[]>,
  origin: CallOrigin,
  dryRun: boolean,
): Promise<ImportReport> {
  const first = new Map<string, Standing>();
  const refused: RejectedLine[] = [];
  let [imported, known] = [0, 0];
  try {
    for await (const entries of portions) {
      const sorted = sortOut(registry, entries, origin, first);
      const taken = await importCandidates(registry, sorted.candidates, origin, dryRun);
      imported += taken.imported;
      const compared = [...taken.there, ...sorted.again].map(({ line, record, earlier }) => ({
        line,
        detail: difference(record, earlier),
      }));
      const differing = compared.flatMap(({ line, detail }) =>
        detail === undefined ? [] : [{ line, detail }],
      );
      known += compared.length - differing.length;
      refused.push(...[...sorted.refused, ...differing].sort((a, b) => a.line - b.line));
    }
  } finally {
    // Whoever tried one of them before was told that it is none; of an import that is cut off that holds too.
    if (!dryRun && imported > 0)
      await commitAnyhow(registry, () => ({
        put: [],
        feedEntries: [{ kind: "legacy", keyIds: [] }],
        audit: [],
      }));
    else if (!dryRun && known > 0) await ensureDurable(registry);
  }
  return { imported, known, refused };
}

/** Entries that may be taken over, that stand in the import before, and that are refused. */
function sortOut(
  registry: Registry,
  entries: readonly LegacyEntry[],
  origin: CallOrigin,
  first: Map<string, Standing>,
) {
  const refused: RejectedLine[] = [];
  const candidates: Candidate[] = [];
  const again: Found[] = [];
  for (const entry of entries) {
    const { line } = entry;
    const record = recordFor(registry, entry, origin);
    if (typeof record === "string") {
      refused.push({ line, detail: record });
      continue;
    }
    // A key and its own SHA-256 have one alias.
    const id = record.legacy?.alias ?? record.legacy?.hash ?? "";
    const earlier = first.get(id);
    if (earlier !== undefined) again.push({ line, record, earlier });
    else {
      // Of a hundred thousand lines no more is kept than is compared.
      first.set(id, { role: record.role, owner: record.owner, expiresAt: record.expiresAt });
      candidates.push({ line, record });
    }
  }
  return { refused, candidates, again };
}

/** The record, or in words why there is none. */
function recordFor(registry: Registry, entry: LegacyEntry, { caller }: CallOrigin): KeyRecord | string {
  const { legacy } = registry;
  const { key, sha256Hex = "", name, owner, createdAt, expiresAt } = entry;
  const policy = registry.policy();
  const role = policy.roles.get(entry.role);
  if (role === undefined) return `no such role: ${entry.role}`;
  const scopes = [...role.scopes];
  if (!mayGrant(caller, scopes, role, policy)) return `the role ${entry.role} is not yours to grant`;
  if (key !== undefined && !legacy.isPlausible(key))
    return "the key could never be used: its checksum does not fit";
  const time = timeProblem(entry, nowSeconds(registry));
  if (time !== undefined) return time;
  const kept: LegacyPart =
    key === undefined ? { hash: legacy.hashOfDigest(sha256Hex) } : legacy.storedForm(key);
  const grant = {
    role,
    scopes,
    name,
    kept,
    selfService: false,
    ...(owner !== undefined && { owner }),
    ...(expiresAt !== undefined && { expiresAt }),
  };
  const issuedAt = createdAt ?? undatedAt(registry, entry);
  if (!mayBeDated(issuedAt, nowSeconds(registry)))
    return "keys of this role or owner have been cut off a few seconds ahead: import it later";
  return legacyRecord(registry, grant, issuedAt);
}

/** As a key that is registered now: past what has cut off earlier keys of its role and owner, as far as it is known here. */
function undatedAt({ view, storeClock }: Registry, { role, owner }: LegacyEntry): number {
  const now = Math.floor(storeClock.storeNowMs() / 1000);
  return Math.max(now, view.cutOffBefore({ role, ...(owner !== undefined && { owner }) }));
}

/** A key dated ahead would escape the incident switch, which ends what was issued before a moment. */
function timeProblem({ createdAt = 0, expiresAt = NEVER }: LegacyEntry, now: number): string | undefined {
  if (expiresAt <= now) return "has expired";
  if (createdAt > now) return "created_at lies ahead";
  return createdAt < 0 ? "created_at lies before 1970" : undefined;
}

/** What was written, and what was there already. */
async function importCandidates(
  registry: Registry,
  candidates: readonly Candidate[],
  origin: CallOrigin,
  dryRun: boolean,
) {
  const written = dryRun ? candidates.map(() => false) : await write(registry, candidates, origin);
  const left = candidates.filter((_, at) => !written[at]);
  const found = await Promise.all(
    left.map(({ record: { legacy } }) =>
      registry.store.findLegacy([legacy?.hash, legacy?.alias].filter((hash) => hash !== undefined)),
    ),
  );
  const there = left.flatMap((candidate, at): Found[] => {
    const earlier = found[at];
    return earlier === undefined ? [] : [{ ...candidate, earlier }];
  });
  const imported = dryRun ? candidates.length - there.length : written.filter(Boolean).length;
  return { imported, there };
}

async function write(
  registry: Registry,
  candidates: readonly Candidate[],
  origin: CallOrigin,
): Promise<readonly boolean[]> {
  if (candidates.length === 0) return [];
  const event = auditEvent(registry, origin, "legacy_keys_imported", {});
  return registry.store.importLegacy(
    candidates.map(({ record }) => record),
    { ...event, reason: `${candidates.length} presented` },
  );
}

/** What an import cannot change of a key that is there, in words; undefined when nothing of that differs. */
function difference(record: Standing, earlier: Standing): string | undefined {
  const differs = [
    ...(record.role === earlier.role ? [] : ["role"]),
    ...(record.owner === earlier.owner ? [] : ["owner"]),
    ...(record.expiresAt === earlier.expiresAt ? [] : ["expires_at"]),
  ];
  return differs.length === 0 ? undefined : `the key is there already, with another ${differs.join(" and ")}`;
}
