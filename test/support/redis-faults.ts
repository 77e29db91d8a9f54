import type { FaultRelay } from "./fault-relay.ts";
import type { TestedRedis } from "./redis.ts";
import { startRedis } from "./redis.ts";

/** An instance's Redis and the relay to it, in which faults are caused. */
export interface Hurtable {
  redis: TestedRedis;
  readonly relay: FaultRelay;
}

/** Each fault with an entry in docs/operations/failure-modes.md, by its title. */
export interface RedisFault {
  readonly name: string;
  /** True if the fault is between the instance and Redis, so that other instances are not affected. */
  readonly relayed: boolean;
  begin(hurt: Hurtable): Promise<unknown> | unknown;
  end(hurt: Hurtable): Promise<unknown> | unknown;
}

function onTheWay(name: string, fault: Parameters<FaultRelay["set"]>[0]): RedisFault {
  return {
    name,
    relayed: true,
    begin: ({ relay }) => relay.set(fault),
    end: ({ relay }) => relay.set({ kind: "pass" }),
  };
}

function commanded(name: string, begin: readonly string[], end: readonly string[]): RedisFault {
  return {
    name,
    relayed: false,
    begin: ({ redis }) => redis.cli(...begin),
    end: ({ redis }) => redis.cli(...end),
  };
}

/** Enough that loading them, at one millisecond each, takes as long as the other faults. */
const LOADED = 2000;
const SLOWLY = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];

async function restartLoading(hurt: Hurtable): Promise<void> {
  const { redis } = hurt;
  await redis.cli("EVAL", `for i = 1, ${LOADED} do redis.call('SET', 'latchkey:loaded:' .. i, i) end`, "0");
  await redis.cli("SAVE");
  await redis.stop("SIGKILL");
  // Redis responds with LOADING until all is loaded, and then this resolves.
  hurt.redis = await startRedis({ port: redis.port, dir: redis.dir, args: SLOWLY });
}

export const REDIS_FAULTS: readonly RedisFault[] = [
  { name: "`LOADING`", relayed: false, begin: restartLoading, end: () => undefined },
  onTheWay("Redis refuses connections", { kind: "refuse" }),
  onTheWay("A black hole", { kind: "black-hole" }),
  onTheWay("Redis answers late", { kind: "delay", ms: 5000 }),
  onTheWay("Connections are reset in mid-command", { kind: "cut", afterBytes: 700 }),
  onTheWay("Replies end early", { kind: "truncate", afterBytes: 2700 }),
  commanded("`OOM`", ["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
  commanded("`READONLY`", ["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
  commanded(
    "`NOREPLICAS`",
    ["CONFIG", "SET", "min-replicas-to-write", "1"],
    ["CONFIG", "SET", "min-replicas-to-write", "0"],
  ),
  commanded("`WRONGTYPE`", ["SET", "latchkey:feed", "text"], ["DEL", "latchkey:feed"]),
  commanded(
    "`NOPERM`",
    ["ACL", "SETUSER", "latchkey", "-evalsha", "-xread", "-mget"],
    ["ACL", "SETUSER", "latchkey", "+evalsha", "+xread", "+mget"],
  ),
  {
    name: "Redis's process is stopped",
    relayed: false,
    begin: ({ redis }) => process.kill(redis.pid, "SIGSTOP"),
    end: ({ redis }) => process.kill(redis.pid, "SIGCONT"),
  },
  {
    name: "Redis's process is killed, and comes back empty",
    relayed: false,
    begin: ({ redis }) => redis.stop("SIGKILL"),
    async end(hurt) {
      hurt.redis = await startRedis({ port: hurt.redis.port });
    },
  },
];
