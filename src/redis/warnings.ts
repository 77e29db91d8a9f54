import type { RedisClient } from "./client.ts";

/** What is wrong with a Redis that would lose what Latchkey writes, each in a sentence. */
export async function redisWarnings(client: RedisClient): Promise<readonly string[]> {
  const memory = String(await client.command("INFO", "memory"));
  const persistence = String(await client.command("INFO", "persistence"));
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? "noeviction";
  const limited = !/^maxmemory:0\s/m.test(memory);
  const warnings: string[] = [];
  if (limited && policy !== "noeviction") {
    warnings.push(
      `Redis would evict keys and revocations when its memory is full (maxmemory-policy ${policy}): set noeviction`,
    );
  }
  if (!/^aof_enabled:1/m.test(persistence)) {
    warnings.push(
      "Redis keeps no append-only file: a restart loses its last writes, or all of them; set appendonly yes",
    );
  }
  return warnings;
}
