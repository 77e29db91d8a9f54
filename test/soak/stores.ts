import { renameSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { SLOTS } from "../../src/redis/hash-slot.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { REGISTRY_SLOT, startCluster } from "../support/cluster.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { startRedis, urlBy } from "../support/redis.ts";
import type { Hurtable } from "../support/redis-faults.ts";
import { REDIS_FAULTS } from "../support/redis-faults.ts";
import { LASTS_MS } from "./durations.ts";

/** Where the process of a soak keeps its keys, and what happens to that. */
export interface SoakedStore {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  /** Each resolves once the store is whole again. */
  readonly faults: Readonly<Record<string, () => Promise<void>>>;
  stop(): Promise<void>;
}

export async function startEmbeddedStore(): Promise<SoakedStore> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-soak-data-"));
  removeAtEnd(folder);
  const file = join(folder, "latchkey.db");
  return {
    name: "embedded",
    env: { DATA_DIR: folder },
    faults: {
      async "the database is moved away"() {
        renameSync(file, `${file}.moved`);
        await pause(LASTS_MS);
        renameSync(`${file}.moved`, file);
      },
    },
    stop: async () => undefined,
  };
}

/** After it V1 keys would have to be imported again. */
const LOSES_ALL = "Redis's process is killed, and comes back empty";

/** One Redis, behind a relay. */
export async function startRedisStore(): Promise<SoakedStore> {
  const redis = await startRedis();
  const hurt: Hurtable = { redis, relay: await startFaultRelay(redis.port) };
  const faults = REDIS_FAULTS.filter(({ name }) => name !== LOSES_ALL).map(({ name, begin, end }) => [
    name,
    async () => {
      await begin(hurt);
      await pause(LASTS_MS);
      await end(hurt);
    },
  ]);
  return {
    name: "redis",
    env: { REDIS_URL: urlBy(hurt.relay.port), REDIS_COMMAND_TIMEOUT_MS: "1500" },
    faults: Object.fromEntries(faults),
    async stop() {
      await hurt.relay.close();
      await hurt.redis.stop("SIGKILL");
    },
  };
}

/** A Redis Cluster, whose replicas have what was acknowledged. */
export async function startClusterStore(): Promise<SoakedStore> {
  const cluster = await startCluster();
  const bucketSlot = (REGISTRY_SLOT + SLOTS / 2) % SLOTS;
  const kill = async (slot: number) => {
    const { port, stop } = await cluster.primaryOf(slot);
    await stop("SIGKILL");
    await cluster.failedOver(slot, port);
    await cluster.rejoin(port, slot);
  };
  return {
    name: "cluster",
    env: { REDIS_URL: cluster.url, REDIS_WAIT_REPLICAS: "1", REDIS_COMMAND_TIMEOUT_MS: "1500" },
    faults: {
      "the registry's node is killed": () => kill(REGISTRY_SLOT),
      "a node of buckets is killed": () => kill(bucketSlot),
      async "a node is stopped for a while"() {
        const { pid } = await cluster.primaryOf(REGISTRY_SLOT);
        process.kill(pid, "SIGSTOP");
        await pause(LASTS_MS);
        process.kill(pid, "SIGCONT");
        await cluster.whole();
      },
    },
    stop: cluster.stop,
  };
}
