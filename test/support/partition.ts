import { expect, vi } from "vitest";
import { startFaultRelay } from "./fault-relay.ts";
import { startRedis } from "./redis.ts";
import { allKnown, FENCE, NODE_ARGS, startSentinel } from "./sentinel.ts";

const WITHIN = { timeout: 60_000, interval: 20 };

/** A primary with two replicas and three Sentinels, which all reach it through a relay alone. */
export async function startPartitionable() {
  const primary = await startRedis({ args: [...NODE_ARGS, ...FENCE] });
  const relay = await startFaultRelay(primary.port);
  const args = [...NODE_ARGS, ...FENCE, "--replicaof", "127.0.0.1", String(relay.port)];
  const replicas = [await startRedis({ args }), await startRedis({ args })];
  await vi.waitFor(async () => expect(await primary.cli("INFO", "replication")).toContain("slave1:"), WITHIN);
  // The store is older than local_max, as it is in a fleet that has been running for a while.
  await primary.cli("SET", "latchkey:epoch", `epoch ${Date.now() - 3_600_000}`);
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(relay.port)));
  await allKnown(sentinels, replicas.length);
  return {
    primary,
    replicas,
    relay,
    sentinels: sentinels.map(({ port }) => port),
    /** For instances that reach the primary past the relay. */
    natMap: `127.0.0.1:${relay.port}=127.0.0.1:${primary.port}`,
    async stop() {
      await Promise.all([...sentinels, ...replicas, primary].map((one) => one.stop("SIGKILL")));
      await relay.close();
    },
  };
}
