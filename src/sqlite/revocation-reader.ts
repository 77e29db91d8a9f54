import type { DatabaseSync } from "node:sqlite";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { Revocation } from "../core/revocation/revocation.ts";
import { restrictionOf } from "../core/revocation/revocation.ts";
import { integer, recordOf, text } from "./rows.ts";

/** The position of a reader: a table, and the row after which it continues. */
export interface RevocationPosition {
  readonly table: number;
  readonly after: readonly (string | number)[];
}

export interface RevocationPortion {
  readonly revocations: readonly Revocation[];
  /** Absent after the last portion. */
  readonly next?: RevocationPosition;
}

export interface RevocationReader {
  /** A bounded portion of everything that a revocation view must know. Without a position: the first portion. */
  portion(position?: RevocationPosition): Promise<RevocationPortion>;
}

const ROWS = 500;

/** Reads the rows of one table after a position. */
interface Table {
  readonly first: readonly (string | number)[];
  rows(after: readonly (string | number)[]): readonly {
    readonly revocation: Revocation | undefined;
    readonly position: readonly (string | number)[];
  }[];
}

export function createRevocationReader(sqlite: DatabaseSync): RevocationReader {
  const tables = [
    forgottenIn(sqlite),
    familiesOf(sqlite),
    endedKeysOf(sqlite),
    cutOffsOf(sqlite),
    keysOf(sqlite),
  ];
  return {
    async portion(position = { table: 0, after: tables[0]?.first ?? [] }) {
      const rows = tables[position.table]?.rows(position.after) ?? [];
      const revocations = rows
        .map(({ revocation }) => revocation)
        .filter((revocation) => revocation !== undefined);
      const last = rows.at(-1);
      if (last !== undefined) return { revocations, next: { table: position.table, after: last.position } };
      const table = position.table + 1;
      const first = tables[table]?.first;
      return { revocations, ...(first !== undefined && { next: { table, after: first } }) };
    },
  };
}

/** Yields all portions. */
export async function* allRevocations(reader: RevocationReader): AsyncIterable<readonly Revocation[]> {
  let position: RevocationPosition | undefined;
  do {
    const { revocations, next } = await reader.portion(position);
    yield revocations;
    position = next;
  } while (position !== undefined);
}

/** The first table, so that a complete view always knows what its store has removed. */
function forgottenIn(sqlite: DatabaseSync): Table {
  const forgotten = sqlite.prepare("SELECT value FROM shared_state WHERE name = 'forgotten'");
  return {
    first: [0],
    rows([taken = 0]) {
      const before = Number(forgotten.get()?.["value"] ?? 0);
      return taken === 0 ? [{ revocation: { kind: "forgotten", before }, position: [1] }] : [];
    },
  };
}

/** Ended keys without a record. */
function endedKeysOf(sqlite: DatabaseSync): Table {
  const after = sqlite.prepare(
    "SELECT key_id, standing FROM ended_keys WHERE key_id > ? ORDER BY key_id LIMIT ?",
  );
  return {
    first: [""],
    rows: ([keyId = ""]) =>
      after.all(keyId, ROWS).map((row) => {
        const entry = decodeFeedEntry(text(row, "standing"));
        return { revocation: entry?.kind === "key" ? entry : undefined, position: [text(row, "key_id")] };
      }),
  };
}

function familiesOf(sqlite: DatabaseSync): Table {
  const after = sqlite.prepare(
    "SELECT family, until FROM ended_families WHERE family > ? ORDER BY family LIMIT ?",
  );
  return {
    first: [""],
    rows: ([family = ""]) =>
      after.all(family, ROWS).map((row) => ({
        revocation: { kind: "family", family: text(row, "family"), until: integer(row, "until") },
        position: [text(row, "family")],
      })),
  };
}

function cutOffsOf(sqlite: DatabaseSync): Table {
  const after = sqlite.prepare(
    "SELECT scope, subject, before, until FROM cut_offs WHERE (scope, subject) > (?, ?) ORDER BY scope, subject LIMIT ?",
  );
  return {
    first: ["", ""],
    rows: ([scope = "", subject = ""]) =>
      after.all(scope, subject, ROWS).map((row) => ({
        revocation: {
          kind: "cutoff",
          scope: scopeOf(text(row, "scope")),
          subject: text(row, "subject"),
          before: integer(row, "before"),
          until: integer(row, "until"),
        },
        position: [text(row, "scope"), text(row, "subject")],
      })),
  };
}

function keysOf(sqlite: DatabaseSync): Table {
  const ended = sqlite.prepare(
    "SELECT seq, key_id, record FROM keys WHERE ended = 1 AND seq > ? ORDER BY seq LIMIT ?",
  );
  return {
    first: [0],
    rows: ([seq = 0]) =>
      ended
        .all(seq, ROWS)
        .map((row) => ({ revocation: restrictionOf(recordOf(row)), position: [integer(row, "seq")] })),
  };
}

function scopeOf(scope: string): "all" | "role" | "owner" {
  if (scope === "all" || scope === "role" || scope === "owner") return scope;
  throw new Error("a cut-off is damaged");
}
