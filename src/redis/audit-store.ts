import { decodeEvent } from "../core/audit-event-text.ts";
import type { AuditStore, StoredEvent } from "../core/ports.ts";
import type { RedisClient } from "./client.ts";
import { names } from "./names.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { texts } from "./replies.ts";

/** Whoever writes events to a log: each event goes to one of them. */
const GROUP = "log";
/** An event that an instance has taken and not written by then is another one's: it has crashed. */
const TAKEN_OVER_AFTER_MS = 60_000;

/** The events of the registry in a stream, handed out to the instances by a consumer group. */
export function createAuditStore(client: RedisClient, instanceId: string): AuditStore {
  const take = async (limit: number): Promise<readonly StoredEvent[]> => {
    const left = await client.command(
      ...([
        "XAUTOCLAIM",
        names.audit,
        GROUP,
        instanceId,
        TAKEN_OVER_AFTER_MS,
        "0-0",
        "COUNT",
        limit,
      ] as const),
    );
    const [, orphaned] = Array.isArray(left) ? left : [];
    const fresh = await client.command(
      ...(["XREADGROUP", "GROUP", GROUP, instanceId, "COUNT", limit, "STREAMS", names.audit, ">"] as const),
    );
    const [stream] = Array.isArray(fresh) ? fresh : [];
    const [, entries] = Array.isArray(stream) ? stream : [];
    return [...toStored(orphaned), ...toStored(entries)];
  };
  return {
    async claim(limit) {
      try {
        return await take(limit);
      } catch (error) {
        if (!(error instanceof RedisUnavailable && error.code === "NOGROUP")) throw error;
        await client.command("XGROUP", "CREATE", names.audit, GROUP, "0", "MKSTREAM");
        return take(limit);
      }
    },
    async done(cursors) {
      if (cursors.length > 0) await client.command("XACK", names.audit, GROUP, ...cursors);
    },
    async read({ after, limit }) {
      if (after === undefined)
        return [
          ...toStored(await client.command("XREVRANGE", names.audit, "+", "-", "COUNT", limit)),
        ].reverse();
      if (!/^\d{1,15}-\d{1,15}$/.test(after)) throw new RangeError("no such place");
      return toStored(await client.command("XRANGE", names.audit, `(${after}`, "+", "COUNT", limit));
    },
    async sweep(beforeMs) {
      await client.command("XTRIM", names.audit, "MINID", "~", Math.max(0, Math.floor(beforeMs)));
    },
  };
}

/** A list of `[id, [field, value, …]]`. */
function toStored(entries: unknown): readonly StoredEvent[] {
  if (!Array.isArray(entries)) return [];
  return entries.flatMap((entry) => {
    const [cursor, fields] = Array.isArray(entry) ? entry : [];
    // An entry that was trimmed while somebody had it is null.
    if (fields === null || fields === undefined) return [];
    const [, event = ""] = texts(fields);
    return [{ cursor: String(cursor), event: decodeEvent(event) }];
  });
}
