import type { RedisClient } from "./client.ts";

/** What is wrong with the Redis, in the words of the log. */
export interface RedisWarning {
  readonly event: string;
  readonly effect: string;
  readonly action: string;
}

/** What is wrong with a Redis that would lose what Latchkey writes. */
export async function redisWarnings(client: RedisClient): Promise<readonly RedisWarning[]> {
  const memory = String(await client.command("INFO", "memory"));
  const persistence = String(await client.command("INFO", "persistence"));
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? "noeviction";
  const limited = !/^maxmemory:0\s/m.test(memory);
  const warnings: RedisWarning[] = [];
  if (limited && policy !== "noeviction") {
    warnings.push({
      event: `Redis would evict keys and revocations when its memory is full (maxmemory-policy ${policy})`,
      effect: "nothing can be done about that from here",
      action: "its configuration: set maxmemory-policy noeviction",
    });
  }
  if (!/^aof_enabled:1/m.test(persistence)) {
    warnings.push({
      event: "Redis keeps no append-only file: a restart loses its last writes, or all of them",
      effect: "revocations that an instance knows are then written back, registrations are not",
      action: "its configuration: set appendonly yes",
    });
  }
  return warnings;
}
