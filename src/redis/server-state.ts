import { RedisUnavailable } from "./redis-error.ts";

/** What a server says of itself in `INFO`. */
export interface ServerState {
  /** Another one for each process. Empty where a proxy hides it. */
  readonly runId: string;
  /** Another one for each history of writes: of another server, after a failover, of a server started anew. */
  readonly replicationId: string;
}

/**
 * Reads `INFO`. Throws RedisUnavailable for a server whose answers do not count: it is loading, it is a replica, or it
 * has replicas to write to and reaches none, so that another one may be the primary by now.
 */
export function readServerState(info: string): ServerState {
  const field = (name: string) => new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1];
  if (field("loading") === "1") throw notNow("LOADING", "Redis is loading its data");
  if ((field("role") ?? "master") !== "master") throw notNow("READONLY", "Redis is a replica");
  if (field("min_slaves_good_slaves") === "0")
    throw notNow("NOREPLICAS", "Redis is cut off from its replicas (min-replicas-to-write)");
  return { runId: field("run_id") ?? "", replicationId: field("master_replid") ?? "" };
}

function notNow(code: string, message: string): RedisUnavailable {
  return new RedisUnavailable("reply", message, { code, cause: undefined });
}
