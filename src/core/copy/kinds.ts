import type { KeyRecord } from "../keys/key-record.ts";
import { encodeRecord } from "../keys/key-record-codec.ts";
import type { MigrationState } from "../legacy/migration.ts";
import { forgetAt } from "../overrides/override.ts";
import { encodeFeedEntry } from "../revocation/feed-entry.ts";
import type { StoredEntry } from "../revocation/instance-view.ts";
import { createInstanceView } from "../revocation/instance-view.ts";

import { mergeRecord } from "./merge-record.ts";
import { mergeUsageRow, usageText } from "./merge-usage.ts";
import type {
  AuditRow,
  CopiedRows,
  CopiedStore,
  KeyRow,
  PhaseRow,
  QuotaRow,
  RowStore,
  SecretRow,
  UsageRow,
} from "./ports.ts";
import { mergeQuotaRow, quotaEndSeconds } from "./quota-row.ts";

/** A V1 key that is in the target under another key id. */
export interface CopyConflict {
  readonly keyId: string;
  /** The V1 key is revoked in the source, and possibly valid in the target. */
  readonly isRevoked: boolean;
}

/** One kind of data that a copy moves. */
export interface Kind<Row> {
  /** For people. */
  readonly name: string;
  /** The rows for one pass over them. */
  readonly of: (store: CopiedStore) => RowStore<Row>;
  /** The row that the target must hold; undefined if it needs no write. */
  readonly merge: (source: Row, stored: Row | undefined) => Row | undefined;
  /** Whether the stored row lacks something that counts. Absent: whenever `merge` returns a row. */
  readonly lacks?: (source: Row, stored: Row | undefined) => boolean;
  /** Present if the target can have a row of which this one is another version, with another id. */
  readonly conflictOf?: (row: Row) => CopyConflict;
  /** What the digest covers. */
  readonly textOf: (row: Row) => string;
  /** Whether Checks change the rows. A freeze does not stop them. */
  readonly countsChecks?: boolean;
  /** NumericDate from which the row has no effect. It is then neither copied nor compared. Absent: never. */
  readonly endOf?: (row: Row, recordRetentionSeconds: number) => number;
}

const SECRETS: Kind<SecretRow> = {
  name: "generated secrets",
  of: ({ rows }) => rows.secrets,
  merge: (source, stored) => (stored === undefined ? source : undefined),
  textOf: ({ name, value }) => `${name} ${value}`,
};

const PHASE: Kind<PhaseRow> = {
  name: "migration phase",
  of: ({ rows }) => rows.phase,
  merge: mergePhase,
  textOf: ({ state: { phase, chosen, deprecatedAt } }) => JSON.stringify([phase, chosen, deprecatedAt ?? 0]),
};

const KEYS: Kind<KeyRow> = {
  name: "keys",
  of: ({ rows }) => rows.keys,
  merge: mergeKey,
  lacks: (source, stored) => mergeRows(source, stored) !== undefined,
  conflictOf: ({ record: { keyId, revokedAt } }) => ({ keyId, isRevoked: revokedAt !== undefined }),
  textOf: ({ record }) => `${record.keyId} ${encodeRecord(record)}`,
  endOf: ({ record: { expiresAt } }, recordRetentionSeconds) => expiresAt + recordRetentionSeconds,
};

const ENDED_KEYS = entries(
  "key ends not in the records",
  (rows) => rows.endedKeys,
  ({ expiresAt }) => expiresAt,
);
const FAMILIES = entries(
  "ended families",
  (rows) => rows.families,
  ({ until }) => until,
);
const CUT_OFFS = entries(
  "cut-offs",
  (rows) => rows.cutOffs,
  ({ until }) => until,
);
const OVERRIDES = entries("overrides", (rows) => rows.overrides, forgetAt);

const QUOTAS: Kind<QuotaRow> = {
  name: "counters of quotas",
  of: ({ rows }) => rows.quotas,
  merge: mergeQuotaRow,
  countsChecks: true,
  textOf: ({ counterId, windowMs, used }) => JSON.stringify([counterId, windowMs, used]),
  endOf: quotaEndSeconds,
};

const USAGE: Kind<UsageRow> = {
  name: "days of usage",
  of: ({ rows }) => rows.usage,
  merge: mergeUsageRow,
  countsChecks: true,
  textOf: usageText,
};

const AUDIT: Kind<AuditRow> = {
  name: "audit events",
  of: ({ rows }) => rows.audit(),
  merge: (source, stored) => (stored === undefined ? source : undefined),
  textOf: ({ event }) => JSON.stringify(event),
};

/** A visitor, because each kind has rows of its own type. */
export type KindVisitor<Result> = <Row>(kind: Kind<Row>) => Promise<Result>;

/**
 * Visits every kind, one after the other. What ends many keys comes before the keys, because a target that serves must never have
 * a key without its end. The restriction of one key comes after its record: the target does not have to correct one by the other.
 * Usage comes last, because it has the most rows, and a freeze of the registry does not stop it.
 */
export async function forEachKind<Result>(visit: KindVisitor<Result>): Promise<readonly Result[]> {
  return [
    await visit(SECRETS),
    await visit(PHASE),
    await visit(FAMILIES),
    await visit(CUT_OFFS),
    await visit(KEYS),
    await visit(ENDED_KEYS),
    await visit(OVERRIDES),
    await visit(AUDIT),
    await visit(QUOTAS),
    await visit(USAGE),
  ];
}

/** Rows that an instance's view merges: the target applies them as it applies entries that it has lost. */
function entries<Row extends StoredEntry>(
  name: string,
  of: (rows: CopiedRows) => RowStore<Row>,
  endOf: (row: Row) => number,
): Kind<Row> {
  return {
    name,
    of: ({ rows }) => of(rows),
    merge(source, stored) {
      const view = createInstanceView();
      if (stored !== undefined) view.apply([stored]);
      if (view.includes(source)) return undefined;
      view.apply([source]);
      // The view holds one entry, of the kind of the row.
      return [...view.entries()][0] as Row | undefined;
    },
    textOf: encodeFeedEntry,
    endOf,
  };
}

/** The merged record; undefined if the stored one has all of it. Most rows of a repeated copy have the same text. */
function mergeRows(source: KeyRow, stored: KeyRow | undefined): KeyRecord | undefined {
  return source.text !== undefined && source.text === stored?.text
    ? undefined
    : mergeRecord(source.record, stored?.record);
}

function mergeKey(source: KeyRow, stored: KeyRow | undefined): KeyRow | undefined {
  const record = mergeRows(source, stored);
  const usedAt = Math.max(source.usedAt ?? 0, stored?.usedAt ?? 0);
  if (record === undefined && usedAt === (stored?.usedAt ?? 0)) return undefined;
  return { record: record ?? stored?.record ?? source.record, ...(usedAt > 0 && { usedAt }) };
}

/**
 * A phase that an operator has chosen counts more than a phase of a policy, because an instance on the new store may have
 * stored its policy's phase first. What an earlier copy has brought follows the source until the target has a step of its own.
 */
function mergePhase(source: PhaseRow, stored: PhaseRow | undefined): PhaseRow | undefined {
  if (stored === undefined) return source;
  const [from, to, copied] = [source.state, stored.state, stored.copied];
  if (isSamePhase(from, to)) return undefined;
  // A source that has lost steps can give their versions to others, so a version says nothing about what a copy has brought.
  const isCopy = copied?.version === to.version;
  if (!isCopy) {
    if (copied?.sourceVersion === from.version) return undefined;
    const isNewer = from.version > to.version;
    if (from.chosen === to.chosen ? !isNewer : to.chosen) return undefined;
  }
  const version = Math.max(from.version, to.version + 1);
  return { ...source, state: { ...from, version }, copied: { sourceVersion: from.version, version } };
}

function isSamePhase(one: MigrationState, other: MigrationState): boolean {
  return one.phase === other.phase && one.chosen === other.chosen && one.deprecatedAt === other.deprecatedAt;
}
