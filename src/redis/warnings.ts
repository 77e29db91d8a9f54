import type { RedisAddress } from "../config/redis-url.ts";
import type { RedisClient } from "./client.ts";

/** A log message about a problem of Redis. */
export interface RedisWarning {
  readonly event: string;
  readonly effect: string;
  readonly action: string;
}

/**
 * Warnings about settings with which Redis would lose data, or with which an instance would believe an old primary. Only
 * `INFO` is read, because the ACL of Latchkey's user does not permit `CONFIG`.
 */
export async function redisWarnings(
  client: RedisClient,
  { sentinels, seeds }: Pick<RedisAddress, "sentinels" | "seeds"> = {},
): Promise<readonly RedisWarning[]> {
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
  const replication = String(await client.command("INFO", "replication"));
  // A primary of a Cluster that has lost the majority takes no commands, and after a failover it may have no replica.
  if (seeds !== undefined) return warnings;
  const canFailOver = sentinels !== undefined || /^connected_slaves:[1-9]/m.test(replication);
  // Redis shows this field only if min-replicas-to-write and min-replicas-max-lag are set.
  if (canFailOver && !/^min_slaves_good_slaves:/m.test(replication)) {
    warnings.push({
      event: "Redis can fail over, and min-replicas-to-write is not set",
      effect:
        "an instance that reaches only the old primary goes on with it, and serves keys that were revoked since",
      action: "the configuration of every data node: set min-replicas-to-write 1 and min-replicas-max-lag 10",
    });
  }
  return warnings;
}
