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

/** Stores this many overrides in Redis, half of them of families, each with a note of its own, in the format of commit.lua. */
export async function fillWithOverrides(redis: TestedRedis, count: number): Promise<void> {
  const fill = `
    for i = 1, ${count} do
      local scope = i % 2 == 0 and 'f' or 'o'
      local subject = string.format(scope == 'f' and 'fam_%022d' or 'owner-%020d', i)
      local content = string.format('{"p":"team","n":"ticket %025d"}', i)
      redis.call('HSET', 'latchkey:overrides', scope .. ':' .. subject, '["o",1800000000000,"' .. scope .. '","' .. subject .. '",0,' .. content .. ']')
    end
    if redis.call('EXISTS', 'latchkey:counts') == 1 then redis.call('HSET', 'latchkey:counts', 'overrides', ${count}) end`;
  await redis.cli("EVAL", fill, "0");
}
