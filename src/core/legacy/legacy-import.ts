import type { CommitDeps } from "../keys/commit.ts";
import { commitUnconditionally, ensureDurable } from "../keys/commit.ts";
import type { DateDeps } from "../keys/key-dates.ts";
import { nowSeconds } from "../keys/key-dates.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { AuditDeps, CallOrigin } from "../keys/operation-audit.ts";
import { auditEvent } from "../keys/operation-audit.ts";
import { RegistryFrozen } from "../keys/registry-frozen.ts";
import type { ImportEntryDeps, LegacyEntry } from "./import-entry.ts";
import { recordFor } from "./import-entry.ts";
import type { LegacyImporter, LegacyKeyReader } from "./ports.ts";

export type ImportDeps = CommitDeps &
  AuditDeps &
  ImportEntryDeps & { readonly store: LegacyKeyReader & LegacyImporter };

export interface RejectedLine {
  readonly line: number;
  readonly detail: string;
}

export interface ImportReport {
  readonly imported: number;
  /** Keys that existed already and are the same. Repeating an import changes nothing. */
  readonly known: number;
  readonly refused: readonly RejectedLine[];
}

/** A line that can be imported. */
interface Candidate {
  readonly line: number;
  readonly record: KeyRecord;
}

/** A line whose key exists already, in the store or earlier in the import. */
interface KnownCandidate extends Candidate {
  readonly earlier: FixedFields;
}

/** The fields that an import cannot change of an existing key. */
type FixedFields = Pick<KeyRecord, "role" | "expiresAt"> & { readonly owner?: string | undefined };

/**
 * Imports V1 keys of another system, portion by portion. Each portion is one transaction, and the caller can yield between
 * two. The caller cannot import a key that it may not grant. With `dryRun` nothing is written.
 */
export async function importLegacyKeys(
  deps: ImportDeps,
  portions: Iterable<readonly LegacyEntry[]> | AsyncIterable<readonly LegacyEntry[]>,
  origin: CallOrigin,
  dryRun: boolean,
): Promise<ImportReport> {
  const first = new Map<string, FixedFields>();
  const rejected: RejectedLine[] = [];
  let [imported, known] = [0, 0];
  try {
    for await (const entries of portions) {
      const classified = classify(deps, entries, origin, first);
      const outcome = await importCandidates(deps, classified.candidates, origin, dryRun);
      imported += outcome.imported;
      const compared = [...outcome.existing, ...classified.repeated].map(({ line, record, earlier }) => ({
        line,
        detail: difference(record, earlier),
      }));
      const differing = compared.flatMap(({ line, detail }) =>
        detail === undefined ? [] : [{ line, detail }],
      );
      known += compared.length - differing.length;
      rejected.push(...[...classified.rejected, ...differing].sort((a, b) => a.line - b.line));
    }
  } finally {
    // Instances may have cached that these keys are unknown. An import that was interrupted must invalidate this, too.
    if (!dryRun && imported > 0)
      await commitUnconditionally(deps, () => ({
        put: [],
        feedEntries: [{ kind: "legacy", keyIds: [] }],
        audit: [],
      }));
    else if (!dryRun && known > 0) await ensureDurable(deps);
  }
  return { imported, known, refused: rejected };
}

/** Separates the entries that can be imported, that repeat an earlier entry, and that are rejected. */
function classify(
  deps: ImportEntryDeps,
  entries: readonly LegacyEntry[],
  origin: CallOrigin,
  first: Map<string, FixedFields>,
) {
  const rejected: RejectedLine[] = [];
  const candidates: Candidate[] = [];
  const repeated: KnownCandidate[] = [];
  for (const entry of entries) {
    const { line } = entry;
    const record = recordFor(deps, entry, origin);
    if (typeof record === "string") {
      rejected.push({ line, detail: record });
      continue;
    }
    // A key and its own SHA-256 have the same alias.
    const id = record.legacy?.alias ?? record.legacy?.hash ?? "";
    const earlier = first.get(id);
    if (earlier !== undefined) repeated.push({ line, record, earlier });
    else {
      // An import can have a hundred thousand lines, so only the compared fields are kept.
      first.set(id, { role: record.role, owner: record.owner, expiresAt: record.expiresAt });
      candidates.push({ line, record });
    }
  }
  return { rejected, candidates, repeated };
}

/** Writes the candidates. Returns how many were written, and those that existed already. */
async function importCandidates(
  deps: ImportDeps,
  candidates: readonly Candidate[],
  origin: CallOrigin,
  dryRun: boolean,
) {
  const written = dryRun ? candidates.map(() => false) : await write(deps, candidates, origin);
  const unwritten = candidates.filter((_, at) => !written[at]);
  const found = await Promise.all(
    unwritten.map(({ record: { legacy } }) =>
      deps.store.findLegacy([legacy?.hash, legacy?.alias].filter((hash) => hash !== undefined)),
    ),
  );
  const existing = unwritten.flatMap((candidate, at): KnownCandidate[] => {
    const earlier = found[at];
    return earlier === undefined ? [] : [{ ...candidate, earlier }];
  });
  const imported = dryRun ? candidates.length - existing.length : written.filter(Boolean).length;
  return { imported, existing };
}

async function write(
  deps: DateDeps & AuditDeps & { readonly store: LegacyImporter },
  candidates: readonly Candidate[],
  origin: CallOrigin,
): Promise<readonly boolean[]> {
  if (candidates.length === 0) return [];
  const event = auditEvent(deps, origin, "legacy_keys_imported", {});
  const written = await deps.store.importLegacy(
    candidates.map(({ record }) => record),
    { ...event, reason: `${candidates.length} presented` },
  );
  if ("kind" in written) throw new RegistryFrozen(Math.max(1, written.until - nowSeconds(deps)));
  return written;
}

/** Names the fixed fields that differ from the existing key; undefined if none does. */
function difference(record: FixedFields, earlier: FixedFields): string | undefined {
  const differing = [
    ...(record.role === earlier.role ? [] : ["role"]),
    ...(record.owner === earlier.owner ? [] : ["owner"]),
    ...(record.expiresAt === earlier.expiresAt ? [] : ["expires_at"]),
  ];
  if (differing.length === 0) return undefined;
  return `the key is there already, with another ${differing.join(" and ")}`;
}
