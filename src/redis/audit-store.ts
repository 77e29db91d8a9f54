import { decodeEvent } from "../core/audit/audit-event-codec.ts";
import type { AuditStore, StoredEvent } from "../core/audit/ports.ts";
import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { pairs, texts } from "./replies.ts";

const PLACE = /^\d{1,15}-\d{1,15}$/;
/** Whoever writes events to a log: each event goes to one of them. */
const GROUP = "log";
/** An event that an instance has taken and not written by then is another one's: it has crashed. */
const CLAIM_AFTER_MS = 60_000;
/** Who has not asked for so long is no more: instances ask several times a second. */
const GONE_AFTER_MS = 3_600_000;

/** The events of the registry in a stream, handed out to the instances by a consumer group. */
export function createAuditStore(
  client: RedisClient,
  instanceId: string,
  { takenOverAfterMs = CLAIM_AFTER_MS, goneAfterMs = GONE_AFTER_MS } = {},
): AuditStore {
  const stream = redisKeys.audit;
  const take = async (limit: number): Promise<readonly StoredEvent[]> => {
    const left = await client.command(
      ...(["XAUTOCLAIM", stream, GROUP, instanceId, takenOverAfterMs, "0-0", "COUNT", limit] as const),
    );
    const [, orphaned] = Array.isArray(left) ? left : [];
    const fresh = await client.command(
      ...(["XREADGROUP", "GROUP", GROUP, instanceId, "COUNT", limit, "STREAMS", stream, ">"] as const),
    );
    const [first] = Array.isArray(fresh) ? fresh : [];
    const [, entries] = Array.isArray(first) ? first : [];
    return [...toStored(orphaned), ...toStored(entries)];
  };
  return {
    async claim(limit) {
      try {
        return await take(limit);
      } catch (error) {
        if (!isReply(error, "NOGROUP")) throw error;
        await createGroup(client);
        return take(limit);
      }
    },
    async done(cursors) {
      if (cursors.length > 0) await client.command("XACK", stream, GROUP, ...cursors);
    },
    async read({ after, before, limit }) {
      const place = after ?? before;
      if (place !== undefined && !PLACE.test(place)) throw new RangeError("no such place");
      if (after !== undefined)
        return toStored(await client.command("XRANGE", stream, `(${after}`, "+", "COUNT", limit));
      const to = before === undefined ? "+" : `(${before}`;
      return toStored(await client.command("XREVRANGE", stream, to, "-", "COUNT", limit)).toReversed();
    },
    async sweep(beforeMs) {
      const until = Math.min(beforeMs, await unwrittenSinceMs(client));
      const minId = Math.max(0, Math.floor(until));
      // With `~` Redis removes some thousand at a time: it goes on until there are no more, and others have their turn between.
      while (Number(await client.command("XTRIM", stream, "MINID", "~", minId)) > 0);
      if (until > 0) await removeDeadConsumers(client, goneAfterMs);
    },
  };
}

function isReply(error: unknown, code: string): boolean {
  return error instanceof RedisUnavailable && error.code === code;
}

async function createGroup(client: RedisClient): Promise<void> {
  try {
    await client.command("XGROUP", "CREATE", redisKeys.audit, GROUP, "0", "MKSTREAM");
  } catch (error) {
    // Another instance was quicker.
    if (!isReply(error, "BUSYGROUP")) throw error;
  }
}

/** From when on events may be in no log yet (milliseconds of their ids): those before are in one. */
async function unwrittenSinceMs(client: RedisClient): Promise<number> {
  try {
    const [groups, pending] = await client.commands([
      ["XINFO", "GROUPS", redisKeys.audit],
      ["XPENDING", redisKeys.audit, GROUP],
    ]);
    const [group] = Array.isArray(groups) ? groups : [];
    const delivered = new Map(pairs(group ?? [])).get("last-delivered-id") ?? "0-0";
    const [count, oldest] = Array.isArray(pending) ? pending : [0];
    const firsts = count === 0 ? [delivered] : [delivered, String(oldest)];
    return Math.min(...firsts.map((id) => Number(id.split("-")[0])));
  } catch (error) {
    // Nobody has ever asked, or nothing has ever happened.
    if (error instanceof RedisUnavailable && error.kind === "reply") return 0;
    throw error;
  }
}

/** Forgets the names of instances that are no more and have nothing left: each start makes a new one. */
async function removeDeadConsumers(client: RedisClient, goneAfterMs: number): Promise<void> {
  const consumers = await client.command("XINFO", "CONSUMERS", redisKeys.audit, GROUP);
  for (const consumer of Array.isArray(consumers) ? consumers : []) {
    const told = new Map(pairs(consumer));
    if (told.get("pending") === "0" && Number(told.get("idle")) > goneAfterMs)
      await client.command("XGROUP", "DELCONSUMER", redisKeys.audit, GROUP, told.get("name") ?? "");
  }
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
