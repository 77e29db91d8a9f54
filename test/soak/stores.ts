import { renameSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { SLOTS } from "../../src/redis/hash-slot.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { REGISTRY_SLOT, startCluster } from "../support/cluster.ts";

const LASTS_MS = 2000;

/** Where the process of a soak keeps its keys, and what happens to that. */
export interface SoakedStore {
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
