import type { DatabaseSync } from "node:sqlite";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { ViewEntry } from "../core/revocation/instance-view.ts";
import { restrictionOf } from "../core/revocation/revocation.ts";
import { overrideIn } from "./overrides.ts";
import { integer, recordOf, text } from "./rows.ts";

/** The position of a reader: a table, and the row after which it continues. */
export interface ViewPosition {
  readonly table: number;
  readonly after: readonly (string | number)[];
}

export interface ViewPortion {
  readonly entries: readonly ViewEntry[];
  /** Absent after the last portion. */
  readonly next?: ViewPosition;
}

export interface ViewReader {
  /** A bounded portion of everything that an instance's view must know. Without a position: the first portion. */
  portion(position?: ViewPosition): Promise<ViewPortion>;
}

const ROWS = 500;

/** Reads the rows of one table after a position. */
interface Table {
  readonly first: readonly (string | number)[];
  rows(after: readonly (string | number)[]): readonly {
    readonly entry: ViewEntry | undefined;
    readonly position: readonly (string | number)[];
  }[];
}

export function createViewReader(sqlite: DatabaseSync): ViewReader {
  const tables = [
    forgottenIn(sqlite),
    familiesOf(sqlite),
    endedKeysOf(sqlite),
    cutOffsOf(sqlite),
    keysOf(sqlite),
    overridesOf(sqlite),
  ];
  return {
    async portion(position = { table: 0, after: tables[0]?.first ?? [] }) {
      const rows = tables[position.table]?.rows(position.after) ?? [];
      const entries = rows.map(({ entry }) => entry).filter((entry) => entry !== undefined);
      const last = rows.at(-1);
      if (last !== undefined) return { entries, next: { table: position.table, after: last.position } };
      const table = position.table + 1;
      const first = tables[table]?.first;
      return { entries, ...(first !== undefined && { next: { table, after: first } }) };
    },
  };
}

/** Yields all portions. */
export async function* allEntries(reader: ViewReader): AsyncIterable<readonly ViewEntry[]> {
  let position: ViewPosition | undefined;
  do {
    const { entries, next } = await reader.portion(position);
    yield entries;
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
      return taken === 0 ? [{ entry: { kind: "forgotten", before }, position: [1] }] : [];
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
        return { entry: entry?.kind === "key" ? entry : undefined, position: [text(row, "key_id")] };
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
        entry: { kind: "family", family: text(row, "family"), until: integer(row, "until") },
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
        entry: {
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
        .map((row) => ({ entry: restrictionOf(recordOf(row)), position: [integer(row, "seq")] })),
  };
}

function overridesOf(sqlite: DatabaseSync): Table {
  const after = sqlite.prepare(
    "SELECT scope, subject, entry FROM overrides WHERE (scope, subject) > (?, ?) ORDER BY scope, subject LIMIT ?",
  );
  return {
    first: ["", ""],
    rows: ([scope = "", subject = ""]) =>
      after.all(scope, subject, ROWS).map((row) => ({
        entry: overrideIn(row),
        position: [text(row, "scope"), text(row, "subject")],
      })),
  };
}

function scopeOf(scope: string): "all" | "role" | "owner" {
  if (scope === "all" || scope === "role" || scope === "owner") return scope;
  throw new Error("a cut-off is damaged");
}
