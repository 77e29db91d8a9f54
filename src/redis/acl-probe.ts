import type { RedisClient } from "./client.ts";

/** Should the probe be cut off, what it wrote goes by itself. */
const EXPIRES_MS = 10_000;

type Command = Parameters<RedisClient["commands"]>[0][number];

/**
 * Runs every command of deploy/redis/latchkey.acl once, on names of its own, so that a user who lacks one stops the start and
 * does not fail at its first use. Rejects with what Redis answers.
 */
export async function probeCommands(client: RedisClient, instanceId: string): Promise<void> {
  const name = (what: string) => `latchkey:probe:${instanceId}:${what}`;
  const all = [ofTexts, ofHashes, ofSortedSets, ofStreams].map((commands, at) => {
    const key = name(String(at));
    return [...commands(key), ["PEXPIRE", key, EXPIRES_MS], ["DEL", key]] as const;
  });
  await client.commands([
    ...all.flat(),
    ["EXISTS", `api_key:probe:${instanceId}`],
    ["TIME"],
    ["WAIT", 0, 0],
    ["PING"],
  ]);
}

function ofTexts(key: string): readonly Command[] {
  return [
    ["SET", key, "1"],
    ["GET", key],
    ["MGET", key],
    ["EXISTS", key],
    ["TYPE", key],
    ["INCR", key],
  ];
}

function ofHashes(key: string): readonly Command[] {
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

function ofSortedSets(key: string): readonly Command[] {
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

function ofStreams(key: string): readonly Command[] {
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
