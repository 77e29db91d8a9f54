import { decodeEvent } from "../core/audit/audit-event-codec.ts";
import { copiedEventId, isAfter, isRemoved } from "../core/copy/copied-event.ts";
import type { AuditRow, RowStore } from "../core/copy/ports.ts";
import { PAGE } from "../core/copy/ports.ts";
import type { LogPosition } from "./audit-store.ts";
import { logPosition } from "./audit-store.ts";
import type { RedisClient } from "./client.ts";
import { pairs, texts } from "./replies.ts";
import { scriptText } from "./script-text.ts";

const SOURCE = scriptText("copy-audit");
/** Few enough not to delay Checks. */
const PORTION = 100;
/** Before the first entry. */
const OLDEST = "0-0";

export interface AuditRowsDeps {
  /** The id of this store. */
  readonly id: () => Promise<string | undefined>;
  /** The time of this store. */
  readonly nowMs: () => Promise<number>;
  /** How long this store keeps logged events. */
  readonly retentionSeconds: number;
}

/** The audit events, for one pass over them: no index finds an event by its id, so the ids are read once and kept. */
export function createAuditRows(
  client: RedisClient,
  { id, nowMs, retentionSeconds }: AuditRowsDeps,
): RowStore<AuditRow> {
  const run = client.script(SOURCE, "copy-audit");
  const { keys } = client;
  const ids = new Set<string>();
  let readUntil = OLDEST;
  const readOn = async (store: string) => {
    for await (const entries of entriesAfter(client, readUntil)) {
      for (const entry of entries) ids.add(copiedEventId(toRow(entry, store, undefined)));
      readUntil = entries.at(-1)?.cursor ?? readUntil;
    }
  };
  const append = async (rows: readonly AuditRow[]) => {
    // While the portion before this one was written, another copy may have appended a part of this one.
    const fresh = rows.filter((row) => !ids.has(copiedEventId(row)));
    const [position = readUntil, ...others] = texts(
      await run([keys.audit, keys.copies], [readUntil, ...fresh.flatMap(argumentsOf)]),
    );
    for (const eventId of [...others, ...fresh.map(copiedEventId)]) ids.add(eventId);
    readUntil = position;
  };
  return {
    // Redis counts the entries of a stream by a command that Latchkey's user does not need otherwise.
    count: async () => undefined,
    async *pages() {
      const store = (await id()) ?? "";
      const position = await logPosition(client);
      for await (const entries of entriesAfter(client, OLDEST))
        yield entries.map((entry) => toRow(entry, store, position));
    },
    async find(rows) {
      const storeId = (await id()) ?? "";
      await readOn(storeId);
      const marks = new Map(pairs(await client.command("HGETALL", keys.copies)));
      const beforeMs = (await nowMs()) - retentionSeconds * 1000;
      const removed = { storeId, beforeMs, copiedUntil: (store: string) => marks.get(store) };
      return rows.map((row) => (ids.has(copiedEventId(row)) || isRemoved(row, removed) ? row : undefined));
    },
    async put(changes) {
      for (let start = 0; start < changes.length; start += PORTION)
        await append(changes.slice(start, start + PORTION).map(({ row }) => row));
      return changes.map(() => "written");
    },
  };
}

function argumentsOf(row: AuditRow) {
  const { store, cursor } = row.origin;
  return [copiedEventId(row), store, cursor, row.isLogged ? 1 : 0, JSON.stringify(row.event)];
}

/** All entries after a position, in pages. */
async function* entriesAfter(client: RedisClient, position: string): AsyncIterable<readonly Entry[]> {
  for (let after = position; ; ) {
    const entries = entriesOf(
      await client.command("XRANGE", client.keys.audit, `(${after}`, "+", "COUNT", PAGE),
    );
    const last = entries.at(-1);
    if (last === undefined) return;
    yield entries;
    after = last.cursor;
  }
}

interface Entry {
  readonly cursor: string;
  readonly fields: ReadonlyMap<string, string>;
}

function entriesOf(reply: unknown): readonly Entry[] {
  return (Array.isArray(reply) ? reply : []).map((entry) => {
    const [cursor, fields] = Array.isArray(entry) ? entry : [];
    return { cursor: String(cursor), fields: new Map(pairs(fields)) };
  });
}

function toRow({ cursor, fields }: Entry, store: string, position: LogPosition | undefined): AuditRow {
  const [originStore = store, originCursor = cursor] = fields.get("from")?.split(" ") ?? [];
  return {
    event: decodeEvent(fields.get("event") ?? ""),
    isLogged: fields.get("logged") === "1" || isInLog(cursor, position),
    origin: { store: originStore, cursor: originCursor },
  };
}

function isInLog(cursor: string, position: LogPosition | undefined): boolean {
  if (position === undefined || isAfter(cursor, position.delivered)) return false;
  return position.pending === undefined || isAfter(position.pending, cursor);
}
