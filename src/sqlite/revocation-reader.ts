import type { DatabaseSync } from "node:sqlite";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { Revocation } from "../core/revocation/revocation.ts";
import { restrictionOf } from "../core/revocation/revocation.ts";
import { integer, recordOf, text } from "./rows.ts";

/** Where to read on: in which table, and after which row. */
export interface RevocationPlace {
  readonly table: number;
  readonly after: readonly (string | number)[];
}

export interface RevocationPortion {
  readonly revocations: readonly Revocation[];
  /** Absent after the last portion. */
  readonly next?: RevocationPlace;
}

export interface RevocationReader {
  /** A bounded part of all that a revocation view must know; the first part without a place. */
  portion(place?: RevocationPlace): Promise<RevocationPortion>;
}

const ROWS = 500;

/** One table: its rows after a place, and that place. */
interface Table {
  readonly first: readonly (string | number)[];
  rows(
    after: readonly (string | number)[],
  ): readonly { readonly revocation: Revocation | undefined; readonly place: readonly (string | number)[] }[];
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
    async portion(place = { table: 0, after: tables[0]?.first ?? [] }) {
      const rows = tables[place.table]?.rows(place.after) ?? [];
      const revocations = rows
        .map(({ revocation }) => revocation)
        .filter((revocation) => revocation !== undefined);
      const last = rows.at(-1);
      if (last !== undefined) return { revocations, next: { table: place.table, after: last.place } };
      const table = place.table + 1;
      const first = tables[table]?.first;
      return { revocations, ...(first !== undefined && { next: { table, after: first } }) };
    },
  };
}

/** All portions, one after the other. */
export async function* allRevocations(reader: RevocationReader): AsyncIterable<readonly Revocation[]> {
  let place: RevocationPlace | undefined;
  do {
    const { revocations, next } = await reader.portion(place);
    yield revocations;
    place = next;
  } while (place !== undefined);
}

/** It comes first: a view that is whole knows what its store has forgotten. */
function forgottenIn(sqlite: DatabaseSync): Table {
  const forgotten = sqlite.prepare("SELECT value FROM shared_state WHERE name = 'forgotten'");
  return {
    first: [0],
    rows([taken = 0]) {
      const before = Number(forgotten.get()?.["value"] ?? 0);
      return taken === 0 ? [{ revocation: { kind: "forgotten", before }, place: [1] }] : [];
    },
  };
}

/** Keys that have ended, and of which there is no record. */
function endedKeysOf(sqlite: DatabaseSync): Table {
  const after = sqlite.prepare(
    "SELECT key_id, standing FROM ended_keys WHERE key_id > ? ORDER BY key_id LIMIT ?",
  );
  return {
    first: [""],
    rows: ([keyId = ""]) =>
      after.all(keyId, ROWS).map((row) => {
        const entry = decodeFeedEntry(text(row, "standing"));
        return { revocation: entry?.kind === "key" ? entry : undefined, place: [text(row, "key_id")] };
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
        place: [text(row, "family")],
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
        place: [text(row, "scope"), text(row, "subject")],
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
        .map((row) => ({ revocation: restrictionOf(recordOf(row)), place: [integer(row, "seq")] })),
  };
}

function scopeOf(scope: string): "all" | "role" | "owner" {
  if (scope === "all" || scope === "role" || scope === "owner") return scope;
  throw new Error("a cut-off is damaged");
}
