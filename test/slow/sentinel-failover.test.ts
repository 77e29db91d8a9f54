import { expect } from "vitest";
import { registryKeys } from "../../src/redis/names.ts";
import type { FailoverTopology } from "../support/failovers.ts";
import { failoverSuite } from "../support/failovers.ts";
import type { TestedRedis } from "../support/redis.ts";
import type { SentinelSetup } from "../support/sentinel.ts";
import { FENCE, MASTER, startSentinelSetup } from "../support/sentinel.ts";

const FAILOVERS = Number(process.env["SENTINEL_FAILOVERS"] ?? 6);

async function start(): Promise<FailoverTopology> {
  const setup = await startSentinelSetup({ redisArgs: FENCE });
  const registry = async () => nodeOf(setup, await setup.primaryPort());
  return {
    name: "sentinel",
    url: setup.url,
    waitReplicas: 2,
    epochKey: registryKeys(false).epoch,
    registry,
    next: async () => ({ server: await registry(), holdsRegistry: true }),
    kinds: {
      SIGKILL: (primary) => primary.stop("SIGKILL"),
      /** The old primary lives on, and clients stay connected to it. */
      "SENTINEL FAILOVER": async () =>
        expect(await setup.sentinels[0]?.cli("SENTINEL", "FAILOVER", MASTER)).toBe("OK"),
    },
    failedOver: (from, timeoutMs) => setup.failedOver(from.port, timeoutMs),
    failovers: async () => setup.failovers(),
    rejoin: setup.rejoin,
    stop: setup.stop,
  };
}

function nodeOf({ nodes }: SentinelSetup, port: number): TestedRedis {
  const node = nodes.get(port);
  if (node === undefined) throw new Error(`no node has the port ${port}`);
  return node;
}

failoverSuite(start, ["SIGKILL", "SENTINEL FAILOVER"], FAILOVERS);
