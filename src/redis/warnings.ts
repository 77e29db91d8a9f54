import type { RedisClient } from "./client.ts";

/** A log message about a problem of Redis. */
export interface RedisWarning {
  readonly event: string;
  readonly effect: string;
  readonly action: string;
}

/** Warnings about settings with which Redis would lose data. */
export async function redisWarnings(client: RedisClient): Promise<readonly RedisWarning[]> {
  const memory = String(await client.command("INFO", "memory"));
  const persistence = String(await client.command("INFO", "persistence"));
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? "noeviction";
  const limited = !/^maxmemory:0\s/m.test(memory);
  const warnings: RedisWarning[] = [];
  if (limited && policy !== "noeviction") {
    warnings.push({
      event: `Redis evicts keys and revocations when its memory is full (maxmemory-policy ${policy})`,
      effect: "Latchkey cannot prevent that",
      action: "its configuration: set maxmemory-policy noeviction",
    });
  }
  if (!/^aof_enabled:1/m.test(persistence)) {
    warnings.push({
      event: "Redis keeps no append-only file: a restart loses its last writes, or all of them",
      effect: "instances then write back the revocations that they know, but registrations are lost",
      action: "its configuration: set appendonly yes",
    });
  }
  return warnings;
}
