import type { RedisClient } from "../redis/client.ts";
import { createStoreComparison } from "../redis/store-comparison.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import type { StoreOptions } from "./ports.ts";
import { repeat } from "./repeat.ts";

const COMPARE_EVERY_MS = 1000;

export interface StoreWatchOptions extends Pick<StoreOptions, "clock" | "log" | "shutdown" | "events"> {
  readonly client: RedisClient;
}

/** Reads Redis's clock and verifies its contents, each second. */
export interface StoreWatch {
  /** Starts to watch. Calls `onLoss` when Redis has lost some of its Redis keys. */
  begin(onLoss: () => void): void;
}

/** Resolves once the store's clock is known. */
export async function watchStore(options: StoreWatchOptions): Promise<StoreWatch> {
  const { client, clock, log, shutdown, events } = options;
  const compare = createStoreComparison(client);
  const readState = async () => {
    const sentMs = performance.now();
    const state = await compare();
    clock.applyStoreTime(state.nowMs, sentMs);
    return state;
  };
  let known = (await readState()).missed;
  return {
    begin(onLoss) {
      const turn = async () => {
        const { missed, phase } = await readState();
        if (missed !== known) {
          log.warn({}, FAULTS.namesLost);
          onLoss();
        }
        known = missed;
        await events.phase.publish(phase);
      };
      const stop = repeat(COMPARE_EVERY_MS, ...logTransitions(turn, log, OUTAGES.comparison));
      shutdown.defer("the watch on the contents of Redis", stop);
    },
  };
}
