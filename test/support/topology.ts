import { readRedisUrl } from "../../src/config/redis-url.ts";
import type { RedisOptions as ConnectOptions } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import type { SpreadClient } from "../../src/redis/spread-client.ts";
import { spreadOnOneServer } from "../../src/redis/spread-client.ts";
import { connectSpread } from "../../src/redis/spread-on-cluster.ts";
import { clusterUrl, REGISTRY_SLOT, startCluster, startClusterNode } from "./cluster.ts";
import type { RedisOptions, TestedRedis } from "./redis.ts";
import { startRedis } from "./redis.ts";
import { sentinelUrl, startSentinel } from "./sentinel.ts";

/** A Redis of the topology in TEST_TOPOLOGY: one server without it. */
export interface TestedTopology {
  /** The server that holds the registry. */
  readonly registry: TestedRedis;
  /** As the shipped user, who may only do what Latchkey needs. */
  readonly url: string;
  /** As a user with all rights. */
  readonly adminUrl: string;
  /** Runs the command on every primary. */
  onAll(...args: readonly string[]): Promise<void>;
  stop(): Promise<unknown>;
}

/** A Cluster has six nodes here. */
export async function startTopology(): Promise<TestedTopology> {
  if (process.env["TEST_TOPOLOGY"] !== "cluster") return onOneServer(await startRegistry());
  const setup = await startCluster();
  return {
    registry: await setup.primaryOf(REGISTRY_SLOT),
    url: setup.url,
    adminUrl: clusterUrl([...setup.nodes.keys()].slice(0, 3)).replace(/\/\/.*@/, "//"),
    async onAll(...args) {
      for (const node of await setup.primaries()) await node.cli(...args);
    },
    stop: setup.stop,
  };
}

function onOneServer(registry: TestedRedis): TestedTopology {
  return {
    registry,
    url: registry.url,
    adminUrl: registry.adminUrl,
    onAll: (...args) => registry.cli(...args).then(() => undefined),
    stop: () => registry.stop(),
  };
}

/** One server with all data, such as one with a clock of its own. A Cluster has one node here. */
export async function startRegistry(options: RedisOptions = {}): Promise<TestedRedis> {
  const topology = process.env["TEST_TOPOLOGY"];
  if (topology === "cluster") return startClusterNode(options);
  const redis = await startRedis(options);
  if (topology !== "sentinel") return redis;
  const sentinel = await startSentinel(redis.port);
  return {
    ...redis,
    url: sentinelUrl([sentinel.port]),
    async stop(signal) {
      await sentinel.stop();
      return redis.stop(signal);
    },
  };
}

export interface TestedSpread extends SpreadClient {
  finishStartup(): void;
  close(): Promise<void>;
}

/** The connection to buckets that an instance makes with this URL. */
export async function openTestedSpread(
  options: Omit<ConnectOptions, "node"> & { readonly url: string },
): Promise<TestedSpread> {
  const read = readRedisUrl(options.url);
  if (!read.ok) throw new Error(read.problem);
  const { seeds } = read.place;
  if (seeds === undefined) {
    const client = await connectRedis(options);
    const { close, finishStartup } = client;
    return { ...spreadOnOneServer(client), close, finishStartup };
  }
  return connectSpread({ ...read.place, ...options, seeds, instanceId: "test", onMap: () => undefined });
}
