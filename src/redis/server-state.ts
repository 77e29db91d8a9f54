import { RedisUnavailable } from "./redis-error.ts";
import type { TopologyName } from "./topology.ts";

/** The relevant fields of `INFO`. */
export interface ServerState {
  /** Identifies the server process. Empty if a proxy hides it. */
  readonly runId: string;
  /** Identifies a history of writes. It differs for another server, after a failover and after a restart. */
  readonly replicationId: string;
  /** The length of that history, in bytes. */
  readonly offset: number;
  /** What the replica that is furthest has acknowledged of it. -1 without a replica. */
  readonly replicaOffset: number;
}

/**
 * Parses `INFO`. Throws RedisUnavailable for a server whose replies cannot be trusted: it is loading, it is a replica, or it
 * reaches none of its required replicas, so that another server may be the primary by now.
 */
export function readServerState(info: string, topology: TopologyName): ServerState {
  const field = (name: string) => new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1];
  // Valkey has another name for it.
  rejectMode(field("redis_mode") ?? field("server_mode"), topology);
  if (field("loading") === "1") throw temporaryFault("LOADING", "Redis is loading its data");
  if ((field("role") ?? "master") !== "master")
    throw temporaryFault("READONLY", "Redis is a replica, and not the primary");
  if (field("min_slaves_good_slaves") === "0")
    throw temporaryFault("NOREPLICAS", "Redis is cut off from its replicas (min-replicas-to-write)");
  return {
    runId: field("run_id") ?? "",
    replicationId: field("master_replid") ?? "",
    offset: Number(field("master_repl_offset") ?? 0),
    replicaOffset: Math.max(-1, ...acknowledgedOffsets(info)),
  };
}

function acknowledgedOffsets(info: string): readonly number[] {
  return [...info.matchAll(/^slave\d+:.*\bstate=online,offset=(\d+)/gm)].map(([, offset]) => Number(offset));
}

/**
 * Parses `CLUSTER INFO`. Throws RedisUnavailable for a node that does not reach a majority of the primaries, so that another
 * node may be the primary by now. Such a node answers reads if `cluster-allow-reads-when-down` is set.
 */
export function rejectMinority(info: string): void {
  if (!/^cluster_state:ok/m.test(info))
    throw temporaryFault("CLUSTERDOWN", "this node of the Cluster is cut off, or slots are not covered");
}

/** Throws for a server of a kind that cannot be used. This does not heal by itself. */
function rejectMode(mode: string | undefined, topology: TopologyName): void {
  if (mode === "cluster" && topology === "cluster") return;
  const rejectedSetting = mode === undefined ? undefined : REJECTED_MODES[mode];
  if (rejectedSetting !== undefined)
    throw new RedisUnavailable("reply", `this Redis runs as a ${mode}`, {
      rejectedSetting,
      cause: undefined,
    });
}

const REJECTED_MODES: Readonly<Record<string, string>> = {
  sentinel:
    "REDIS_URL or REDIS_HOST: this is a Sentinel; name it in REDIS_SENTINELS, or write redis+sentinel:// in REDIS_URL",
  cluster:
    "REDIS_URL, REDIS_HOST or REDIS_SENTINELS: this Redis belongs to a Cluster: write redis+cluster:// in REDIS_URL, or set REDIS_CLUSTER=true",
};

function temporaryFault(code: string, message: string): RedisUnavailable {
  return new RedisUnavailable("reply", message, { code, cause: undefined });
}
