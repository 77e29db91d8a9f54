import { SLOTS } from "../../src/redis/hash-slot.ts";
import { registryKeys } from "../../src/redis/names.ts";
import { REGISTRY_SLOT, startCluster } from "../support/cluster.ts";
import type { FailoverTopology } from "../support/failovers.ts";
import { failoverSuite } from "../support/failovers.ts";

const FAILOVERS = Number(process.env["CLUSTER_FAILOVERS"] ?? 6);

async function start(): Promise<FailoverTopology> {
  const setup = await startCluster();
  const registry = () => setup.primaryOf(REGISTRY_SLOT);
  // The nodes fail over in turn: that of the registry, and one that holds buckets alone.
  const slots = [REGISTRY_SLOT, (REGISTRY_SLOT + SLOTS / 2) % SLOTS];
  let begun = 0;
  let slot = REGISTRY_SLOT;
  return {
    name: "cluster",
    url: setup.url,
    waitReplicas: 1,
    epochKey: registryKeys(true).epoch,
    registry,
    async next() {
      slot = slots[begun++ % slots.length] ?? REGISTRY_SLOT;
      return { server: await setup.primaryOf(slot), holdsRegistry: slot === REGISTRY_SLOT };
    },
    kinds: {
      SIGKILL: (primary) => primary.stop("SIGKILL"),
      /** The old primary lives on, as a replica of the new one. */
      "CLUSTER FAILOVER": ({ port }) => setup.failOver(port),
    },
    failedOver: ({ port }, timeoutMs) => setup.failedOver(slot, port, timeoutMs),
    failovers: async () => setup.failovers(),
    rejoin: (port) => setup.rejoin(port, slot),
    stop: setup.stop,
  };
}

failoverSuite(start, ["SIGKILL", "CLUSTER FAILOVER"], FAILOVERS);
