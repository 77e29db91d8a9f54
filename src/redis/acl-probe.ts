import type { RedisClient } from "./client.ts";

/** If the probe is interrupted, its Redis keys expire by themselves. */
const EXPIRES_MS = 10_000;

type Command = Parameters<RedisClient["commands"]>[0][number];

/** The Redis keys that a probe writes, all on one server. */
export interface ProbeNames {
  readonly key: (part: string) => string;
  /** A name with the other prefix. */
  readonly record?: string;
}

/**
 * Runs every command of deploy/redis/latchkey.acl once, on its own Redis keys. A missing permission then stops the start instead
 * of failing at the first use. Rejects with Redis's error.
 */
export async function probeCommands(client: RedisClient, { key: name, record }: ProbeNames): Promise<void> {
  const all = [stringCommands, hashCommands, sortedSetCommands, streamCommands].map((commands, at) => {
    const key = name(String(at));
    return [...commands(key), ["PEXPIRE", key, EXPIRES_MS], ["DEL", key]] as const;
  });
  await client.commands([
    ...all.flat(),
    ...(record === undefined ? [] : [["EXISTS", record] as const]),
    ["TIME"],
    ["WAIT", 0, 0],
    ["PING"],
  ]);
}

/** The names on the server of the registry. */
export function registryProbe({ keys }: RedisClient, instanceId: string): ProbeNames {
  return { key: (part) => keys.probe(instanceId, part), record: keys.probedRecord(instanceId) };
}

function stringCommands(key: string): readonly Command[] {
  return [
    ["SET", key, "1"],
    ["GET", key],
    ["MGET", key],
    ["EXISTS", key],
    ["TYPE", key],
    ["SCAN", 0, "MATCH", key, "COUNT", 1],
    ["INCR", key],
  ];
}

function hashCommands(key: string): readonly Command[] {
  return [
    ["HSET", key, "a", "1"],
    ["HGET", key, "a"],
    ["HEXISTS", key, "a"],
    ["HGETALL", key],
    ["HLEN", key],
    ["HSCAN", key, 0],
    ["HDEL", key, "a"],
  ];
}

function sortedSetCommands(key: string): readonly Command[] {
  return [
    ["ZADD", key, 1, "a"],
    ["ZCARD", key],
    ["ZCOUNT", key, 0, 1],
    ["ZRANGE", key, 0, 0],
    ["ZRANGEBYSCORE", key, 0, 1],
    ["ZSCORE", key, "a"],
    ["ZMSCORE", key, "a"],
    ["ZSCAN", key, 0],
    ["ZREMRANGEBYSCORE", key, 5, 6],
    ["ZREM", key, "a"],
  ];
}

function streamCommands(key: string): readonly Command[] {
  return [
    ["XGROUP", "CREATE", key, "g", "$", "MKSTREAM"],
    ["XADD", key, "*", "a", "1"],
    ["XREAD", "COUNT", 1, "STREAMS", key, "0"],
    ["XRANGE", key, "-", "+", "COUNT", 1],
    ["XREVRANGE", key, "+", "-", "COUNT", 1],
    ["XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", key, ">"],
    ["XPENDING", key, "g"],
    ["XAUTOCLAIM", key, "g", "c", EXPIRES_MS, "0"],
    ["XACK", key, "g", "0-1"],
    ["XINFO", "GROUPS", key],
    ["XINFO", "CONSUMERS", key, "g"],
    ["XGROUP", "DELCONSUMER", key, "g", "c"],
    ["XTRIM", key, "MAXLEN", 0],
  ];
}
