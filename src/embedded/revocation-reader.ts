import type { DatabaseSync } from "node:sqlite";
import type { Revocation } from "../core/revocation-view.ts";
import { standingOf } from "../core/revocation-view.ts";
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
  portion(nowSeconds: number, place?: RevocationPlace): Promise<RevocationPortion>;
}

const ROWS = 500;

/** One table: its rows after a place, and that place. */
interface Table {
  readonly first: readonly (string | number)[];
  rows(
    nowSeconds: number,
    after: readonly (string | number)[],
  ): readonly { readonly revocation: Revocation; readonly place: readonly (string | number)[] }[];
}

export function createRevocationReader(sqlite: DatabaseSync): RevocationReader {
  const tables = [familiesOf(sqlite), cutOffsOf(sqlite), keysOf(sqlite)];
  return {
    async portion(nowSeconds, place = { table: 0, after: tables[0]?.first ?? [] }) {
      const rows = tables[place.table]?.rows(nowSeconds, place.after) ?? [];
      const revocations = rows
        .map(({ revocation }) => revocation)
        .filter((revocation) => revocation.kind !== "key" || revocation.expiresAt > nowSeconds);
      const last = rows.at(-1);
      if (last !== undefined) return { revocations, next: { table: place.table, after: last.place } };
      const table = place.table + 1;
      const first = tables[table]?.first;
      return { revocations, ...(first !== undefined && { next: { table, after: first } }) };
    },
  };
}

/** All portions, one after the other. */
export async function* allRevocations(
  reader: RevocationReader,
  nowSeconds: number,
): AsyncIterable<readonly Revocation[]> {
  let place: RevocationPlace | undefined;
  do {
    const { revocations, next } = await reader.portion(nowSeconds, place);
    yield revocations;
    place = next;
  } while (place !== undefined);
}

function familiesOf(sqlite: DatabaseSync): Table {
  const after = sqlite.prepare(
    "SELECT family, until FROM ended_families WHERE family > ? AND until > ? ORDER BY family LIMIT ?",
  );
  return {
    first: [""],
    rows: (nowSeconds, [family = ""]) =>
      after.all(family, nowSeconds, ROWS).map((row) => ({
        revocation: { kind: "family", family: text(row, "family"), until: integer(row, "until") },
        place: [text(row, "family")],
      })),
  };
}

function cutOffsOf(sqlite: DatabaseSync): Table {
  const after = sqlite.prepare(
    "SELECT scope, subject, before, until FROM cut_offs WHERE (scope, subject) > (?, ?) AND until > ? ORDER BY scope, subject LIMIT ?",
  );
  return {
    first: ["", ""],
    rows: (nowSeconds, [scope = "", subject = ""]) =>
      after.all(scope, subject, nowSeconds, ROWS).map((row) => ({
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
    rows: (_nowSeconds, [seq = 0]) =>
      ended
        .all(seq, ROWS)
        .map((row) => ({ revocation: standingOf(recordOf(row)), place: [integer(row, "seq")] })),
  };
}

function scopeOf(scope: string): "all" | "role" | "owner" {
  if (scope === "all" || scope === "role" || scope === "owner") return scope;
  throw new Error("a cut-off is damaged");
}
