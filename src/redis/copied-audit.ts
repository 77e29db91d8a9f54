import { decodeEvent } from "../core/audit/audit-event-codec.ts";
import { isAfter } from "../core/copy/origin.ts";
import type { AuditRow, RowStore } from "../core/copy/ports.ts";
import { PAGE } from "../core/copy/ports.ts";
import type { LogPosition } from "./audit-store.ts";
import { logPosition } from "./audit-store.ts";
import type { RedisClient } from "./client.ts";
import { pairs } from "./replies.ts";
import { scriptText } from "./script-text.ts";

const SOURCE = scriptText("copy-audit");
/** Few enough not to delay Checks. */
const PORTION = 100;

/** @param id the id of this store */
export function createAuditRows(
  client: RedisClient,
  id: () => Promise<string | undefined>,
): RowStore<AuditRow> {
  const run = client.script(SOURCE, "copy-audit");
  const { keys } = client;
  return {
    // Redis counts the entries of a stream by a command that Latchkey's user does not need otherwise.
    count: async () => undefined,
    async *pages() {
      const store = (await id()) ?? "";
      const position = await logPosition(client);
      let after = "-";
      for (;;) {
        const entries = entriesOf(await client.command("XRANGE", keys.audit, after, "+", "COUNT", PAGE));
        const last = entries.at(-1);
        if (last === undefined) return;
        yield entries.map((entry) => toRow(entry, store, position));
        after = `(${last.cursor}`;
      }
    },
    async find(rows) {
      const store = await id();
      const marks = new Map(pairs(await client.command("HGETALL", keys.copies)));
      return rows.map((row) => {
        const { origin } = row;
        const isOwn = origin.store === store;
        return isOwn || !isAfter(origin.cursor, marks.get(origin.store) ?? "0") ? row : undefined;
      });
    },
    async put(changes) {
      for (let start = 0; start < changes.length; start += PORTION) {
        const portion = changes.slice(start, start + PORTION);
        const args = portion.flatMap(({ row: { event, isLogged, origin } }) => [
          origin.store,
          origin.cursor,
          isLogged ? 1 : 0,
          JSON.stringify(event),
        ]);
        await run([keys.audit, keys.copies], args);
      }
      return changes.map(() => "written");
    },
  };
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
