import type { RedisAddress } from "../config/redis-url.ts";
import type { RedisClient } from "../redis/client.ts";
import type { CommandObserver } from "../redis/command-observer.ts";
import type { SpreadClient } from "../redis/spread-client.ts";
import { spreadOnOneServer } from "../redis/spread-client.ts";
import { connectSpread } from "../redis/spread-on-cluster.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import { logTransitions, watchChanges } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import type { StoreOptions } from "./ports.ts";
import { repeat } from "./repeat.ts";

/** Failed commands refresh the map too, so this only finds what no command meets. */
const REFRESH_EVERY_MS = 5000;

/** The connection to buckets. */
export interface OpenedSpread {
  readonly spread: SpreadClient;
  finishStartup(): void;
}

interface SpreadDeps {
  readonly client: RedisClient;
  readonly place: RedisAddress & { readonly observe: CommandObserver };
  readonly instanceId: string;
  readonly commandTimeoutMs: number;
}

/** Without a Cluster, buckets are on the server of the registry. */
export async function openSpread(
  { client, place, ...options }: SpreadDeps,
  { shutdown, log, metrics }: Pick<StoreOptions, "shutdown" | "log" | "metrics">,
): Promise<OpenedSpread> {
  const { seeds, ...rest } = place;
  if (seeds === undefined) return { spread: spreadOnOneServer(client), finishStartup: () => undefined };
  const logWhole = createWholenessLog(log);
  const spread = await connectSpread({
    ...rest,
    seeds,
    ...options,
    onMap(map) {
      metrics.store.uncoveredSlots(map.uncoveredSlots);
      logWhole(map.uncoveredSlots === 0);
    },
  });
  shutdown.defer("the connections to the nodes of the Cluster", spread.close);
  const stop = repeat(REFRESH_EVERY_MS, ...logTransitions(spread.refresh, log, OUTAGES.clusterMap));
  shutdown.defer("the watch on the slots of the Cluster", stop);
  return { spread, finishStartup: spread.finishStartup };
}

/** Logs when slots have no primary that works, and when all have one again. */
function createWholenessLog(log: Log): (isWhole: boolean) => void {
  return watchChanges(true, (isWhole) => {
    if (isWhole) log.info({}, "all slots of the Redis Cluster have a primary again");
    else log.error({}, FAULTS.clusterNotWhole);
  });
}
