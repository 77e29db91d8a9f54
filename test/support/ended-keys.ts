import type { TestedRedis } from "./redis.ts";

/** Stores this many revoked keys in Redis, in the format of commit.lua. */
export async function fillWithEndedKeys(redis: TestedRedis, count: number): Promise<void> {
  const expiresAt = Math.floor(Date.now() / 1000) + 86_400;
  const fill = `
    for i = 1, ${count} do
      local id = string.format('node_operator_1764000000_%022d', i)
      redis.call('HSET', 'latchkey:keys:standings', id, '["k","' .. id .. '",2,${expiresAt},1,0]')
      redis.call('ZADD', 'latchkey:keys:ended', ${expiresAt}, id)
    end`;
  await redis.cli("EVAL", fill, "0");
}
