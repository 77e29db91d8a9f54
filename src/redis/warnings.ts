import type { RedisAddress } from "../config/redis-url.ts";
import type { RedisClient } from "./client.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { pairs } from "./replies.ts";

/** A log message about a problem of Redis. */
export interface RedisWarning {
  readonly event: string;
  readonly effect: string;
  readonly action: string;
}

export interface WarningOptions extends Pick<RedisAddress, "sentinels" | "seeds" | "username"> {
  /** `REDIS_WAIT_REPLICAS`. */
  readonly waitReplicas?: number;
}

/** The configuration of Redis, as far as an instance may read it. */
interface Facts {
  /** A field of `INFO`. */
  info(field: string): string | undefined;
  /** A parameter of Redis. Undefined if it does not exist, or if its value is not known. */
  parameter(name: string): string | undefined;
  readonly canFailOver: boolean;
  readonly isCluster: boolean;
  readonly waitReplicas: number;
}

/** An instance that is alone with an old primary becomes stale after this, and after `max_staleness`. */
const MAX_LAG_SECONDS = 10;

/** Warnings about settings with which Redis would lose data, or with which an instance would believe an old primary. */
export async function redisWarnings(
  client: RedisClient,
  options: WarningOptions = {},
): Promise<readonly RedisWarning[]> {
  const facts = await readFacts(client, options);
  return CHECKS.flatMap((check) => check(facts) ?? []);
}

async function readFacts(
  client: RedisClient,
  { sentinels, seeds, username, waitReplicas = 0 }: WarningOptions,
): Promise<Facts> {
  const sections = ["memory", "persistence", "replication"].map((section) => ["INFO", section] as const);
  const text = (await client.commands(sections)).join("\n");
  const info = (field: string) => new RegExp(`^${field}:(\\S+)`, "m").exec(text)?.[1];
  const parameters = await readParameters(client, username);
  const isCluster = seeds !== undefined;
  return {
    info,
    parameter: (name) => parameters.get(name),
    canFailOver: isCluster || sentinels !== undefined || Number(info("connected_slaves")) > 0,
    isCluster,
    waitReplicas,
  };
}

/**
 * `CONFIG` shows passwords, so the shipped ACL does not permit it. Only a user without a name is asked for it, so that Redis logs
 * no denial.
 */
async function readParameters(
  client: RedisClient,
  username: string | undefined,
): Promise<ReadonlyMap<string, string>> {
  if (username !== undefined && username !== "default") return new Map();
  try {
    const found = await client.commands(
      ["appendfsync", "repl-diskless-load", "min-replicas-max-lag"].map(
        (name) => ["CONFIG", "GET", name] as const,
      ),
    );
    return new Map(found.flatMap(pairs));
  } catch (error) {
    // Managed services have no CONFIG.
    if (error instanceof RedisUnavailable && error.kind === "reply") return new Map();
    throw error;
  }
}

type Check = (facts: Facts) => RedisWarning | undefined;

const CHECKS: readonly Check[] = [
  evicts,
  keepsNoFile,
  cannotPersist,
  syncsRarely,
  believesOldPrimary,
  fencesLate,
  waitsForTooMany,
  emptiesBeforeLoading,
];

function evicts({ info }: Facts): RedisWarning | undefined {
  const policy = info("maxmemory_policy") ?? "noeviction";
  if (policy === "noeviction" || (info("maxmemory") ?? "0") === "0") return undefined;
  return {
    event: `Redis evicts keys and revocations when its memory is full (maxmemory-policy ${policy})`,
    effect: "Latchkey cannot prevent that",
    action: "its configuration: set maxmemory-policy noeviction",
  };
}

function keepsNoFile({ info, canFailOver }: Facts): RedisWarning | undefined {
  if (info("aof_enabled") === "1") return undefined;
  const replicas = canFailOver ? "; a primary that comes back empty also empties its replicas" : "";
  return {
    event: "Redis keeps no append-only file: a restart loses its last writes, or all of them",
    effect: `instances then enter again what they know: revocations, and the changes that they still remember${replicas}`,
    action: "its configuration: set appendonly yes",
  };
}

function cannotPersist({ info }: Facts): RedisWarning | undefined {
  const failing = ["aof_last_write_status", "rdb_last_bgsave_status"].find((field) => info(field) === "err");
  if (failing === undefined) return undefined;
  return {
    event: `Redis cannot write its data to the disk (${failing}:err)`,
    effect: "a restart loses everything since; Redis may also take no writes (MISCONF)",
    action: "free space and rights in the folder of Redis, and its log",
  };
}

function syncsRarely({ info, parameter }: Facts): RedisWarning | undefined {
  if (info("aof_enabled") !== "1" || parameter("appendfsync") !== "no") return undefined;
  return {
    event: "Redis leaves it to the kernel when its append-only file reaches the disk (appendfsync no)",
    effect: "a crash of its machine loses about the last 30 seconds, acknowledged revocations included",
    action: "its configuration: set appendfsync everysec",
  };
}

/**
 * Redis shows the field only if min-replicas-to-write and min-replicas-max-lag are set. A primary of a Cluster that has lost the
 * majority takes no commands, and after a failover it may have no replica.
 */
function believesOldPrimary({ info, canFailOver, isCluster }: Facts): RedisWarning | undefined {
  if (!canFailOver || isCluster || info("min_slaves_good_slaves") !== undefined) return undefined;
  return {
    event: "Redis can fail over, and min-replicas-to-write is not set",
    effect:
      "an instance that reaches only the old primary goes on with it, and serves keys that were revoked since",
    action: "the configuration of every data node: set min-replicas-to-write 1 and min-replicas-max-lag 10",
  };
}

function fencesLate({ info, parameter }: Facts): RedisWarning | undefined {
  const lag = Number(parameter("min-replicas-max-lag") ?? 0);
  if (info("min_slaves_good_slaves") === undefined || lag <= MAX_LAG_SECONDS) return undefined;
  return {
    event: `a primary notices only after ${lag} s that it is cut off from its replicas (min-replicas-max-lag)`,
    effect:
      "an instance that reaches only that primary serves keys that were revoked since, for this time and max_staleness",
    action: `the configuration of every data node: set min-replicas-max-lag ${MAX_LAG_SECONDS} or less`,
  };
}

function waitsForTooMany({ info, waitReplicas }: Facts): RedisWarning | undefined {
  const replicas = Number(info("connected_slaves") ?? 0);
  if (replicas >= waitReplicas) return undefined;
  return {
    event: `REDIS_WAIT_REPLICAS is ${waitReplicas}, and the primary has ${replicas === 1 ? "1 replica" : `${replicas} replicas`}`,
    effect: "changes are made, and the key API responds 503 to each of them",
    action: "that all replicas run; otherwise REDIS_WAIT_REPLICAS",
  };
}

/** Valkey has this value; Redis keeps the old data until the new data is complete. */
function emptiesBeforeLoading({ parameter }: Facts): RedisWarning | undefined {
  if (parameter("repl-diskless-load") !== "flush-before-load") return undefined;
  return {
    event:
      "a replica empties itself before it loads the data of its primary (repl-diskless-load flush-before-load)",
    effect:
      "if the primary is lost meanwhile, an empty replica may be promoted: REDIS_WAIT_REPLICAS does not protect from that",
    action: "the configuration of every data node: set repl-diskless-load to disabled, on-empty-db or swapdb",
  };
}
