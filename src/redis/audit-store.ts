import { decodeEvent } from "../core/audit/audit-event-codec.ts";
import type { AuditStore, StoredEvent } from "../core/audit/ports.ts";
import type { RedisClient } from "./client.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { pairs, texts } from "./replies.ts";

const CURSOR_FORM = /^\d{1,15}-\d{1,15}$/;
/** The consumer group of all instances. Redis delivers each event to one of them. */
const GROUP = "log";
/** An event that an instance has claimed but not logged by then goes to another instance, because the first has crashed. */
const CLAIM_AFTER_MS = 60_000;
/** An instance claims several times a second, so after this time without a claim it no longer exists. */
const DEAD_AFTER_MS = 3_600_000;

/** The events of the registry in a stream, which a consumer group distributes among the instances. */
export function createAuditStore(
  client: RedisClient,
  instanceId: string,
  { claimAfterMs = CLAIM_AFTER_MS, deadAfterMs = DEAD_AFTER_MS } = {},
): AuditStore {
  const stream = client.keys.audit;
  const done = async (cursors: readonly string[]) => {
    if (cursors.length > 0) await client.command("XACK", stream, GROUP, ...cursors);
  };
  const take = createClaim(client, { instanceId, claimAfterMs, done });
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
    done,
    async read({ fromOldest, after, before, limit }) {
      const cursor = after ?? before;
      if (cursor !== undefined && !CURSOR_FORM.test(cursor)) throw new RangeError("no such cursor");
      if (fromOldest || after !== undefined) {
        const from = after === undefined ? "-" : `(${after}`;
        return toStored(await client.command("XRANGE", stream, from, "+", "COUNT", limit));
      }
      const to = before === undefined ? "+" : `(${before}`;
      return toStored(await client.command("XREVRANGE", stream, to, "-", "COUNT", limit)).toReversed();
    },
    async sweep(beforeMs) {
      const until = Math.min(beforeMs, await unwrittenSinceMs(client));
      const minId = Math.max(0, Math.floor(until));
      // With `~` Redis removes a few thousand entries at a time, so other commands can run in between.
      while (Number(await client.command("XTRIM", stream, "MINID", "~", minId)) > 0);
      if (until > 0) await removeDeadConsumers(client, deadAfterMs);
    },
  };
}

interface ClaimOptions extends Pick<AuditStore, "done"> {
  readonly instanceId: string;
  readonly claimAfterMs: number;
}

/** Claims events that no log has: those of stopped instances, and new ones. */
function createClaim(client: RedisClient, { instanceId, claimAfterMs, done }: ClaimOptions) {
  const stream = client.keys.audit;
  const claim = async (limit: number): Promise<readonly StoredEvent[]> => {
    const claimed = await client.command(
      ...(["XAUTOCLAIM", stream, GROUP, instanceId, claimAfterMs, "0-0", "COUNT", limit] as const),
    );
    const [, orphaned] = Array.isArray(claimed) ? claimed : [];
    const fresh = await client.command(
      ...(["XREADGROUP", "GROUP", GROUP, instanceId, "COUNT", limit, "STREAMS", stream, ">"] as const),
    );
    const [first] = Array.isArray(fresh) ? fresh : [];
    const [, entries] = Array.isArray(first) ? first : [];
    const claimedEntries = [orphaned, entries].flatMap((list) => (Array.isArray(list) ? list : []));
    const [logged, unlogged] = [true, false].map((is) =>
      claimedEntries.filter((entry) => isLogged(entry) === is),
    );
    await done(toStored(logged).map(({ cursor }) => cursor));
    // A copy may have brought many events that are in a log already.
    return unlogged?.length === 0 && logged?.length !== 0 ? claim(limit) : toStored(unlogged);
  };
  return claim;
}

function isReply(error: unknown, code: string): boolean {
  return error instanceof RedisUnavailable && error.code === code;
}

async function createGroup(client: RedisClient): Promise<void> {
  try {
    await client.command("XGROUP", "CREATE", client.keys.audit, GROUP, "0", "MKSTREAM");
  } catch (error) {
    // Another instance has created it.
    if (!isReply(error, "BUSYGROUP")) throw error;
  }
}

/** How far the log is. */
export interface LogPosition {
  /** The last entry that was given to an instance. */
  readonly delivered: string;
  /** The oldest entry that an instance has, but may not have logged yet. */
  readonly pending?: string;
}

/** Undefined if no instance has claimed yet, or if there are no events. */
export async function logPosition(client: RedisClient): Promise<LogPosition | undefined> {
  try {
    const [groups, pending] = await client.commands([
      ["XINFO", "GROUPS", client.keys.audit],
      ["XPENDING", client.keys.audit, GROUP],
    ]);
    const [group] = Array.isArray(groups) ? groups : [];
    const delivered = new Map(pairs(group ?? [])).get("last-delivered-id") ?? "0-0";
    const [count, oldest] = Array.isArray(pending) ? pending : [0];
    return count === 0 ? { delivered } : { delivered, pending: String(oldest) };
  } catch (error) {
    if (error instanceof RedisUnavailable && error.kind === "reply") return undefined;
    throw error;
  }
}

/** Events before this time (milliseconds of their ids) are in a log. Later ones may be missing in it. */
async function unwrittenSinceMs(client: RedisClient): Promise<number> {
  const position = await logPosition(client);
  if (position === undefined) return 0;
  const { delivered, pending = delivered } = position;
  return Math.min(...[delivered, pending].map((id) => Number(id.split("-")[0])));
}

/** Removes the consumers of stopped instances that have no pending events. Each start creates a new consumer. */
async function removeDeadConsumers(client: RedisClient, deadAfterMs: number): Promise<void> {
  const consumers = await client.command("XINFO", "CONSUMERS", client.keys.audit, GROUP);
  for (const consumer of Array.isArray(consumers) ? consumers : []) {
    const fields = new Map(pairs(consumer));
    if (fields.get("pending") === "0" && Number(fields.get("idle")) > deadAfterMs)
      await client.command("XGROUP", "DELCONSUMER", client.keys.audit, GROUP, fields.get("name") ?? "");
  }
}

/** Whether a copy has brought the event, and a log of its former store has it. */
function isLogged(entry: unknown): boolean {
  const [, fields] = Array.isArray(entry) ? entry : [];
  return Array.isArray(fields) && new Map(pairs(fields)).get("logged") === "1";
}

/** A list of `[id, [field, value, …]]`. */
function toStored(entries: unknown): readonly StoredEvent[] {
  if (!Array.isArray(entries)) return [];
  return entries.flatMap((entry) => {
    const [cursor, fields] = Array.isArray(entry) ? entry : [];
    // An entry that was trimmed while it was pending is null.
    if (fields === null || fields === undefined) return [];
    const [, event = ""] = texts(fields);
    return [
      { cursor: String(cursor), event: decodeEvent(event), writtenMs: Number(String(cursor).split("-")[0]) },
    ];
  });
}
