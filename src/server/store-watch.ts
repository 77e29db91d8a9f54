import type { Clock } from "../core/clock.ts";
import type { MigrationState } from "../core/legacy/migration.ts";
import type { RedisClient } from "../redis/client.ts";
import { createStoreComparison } from "../redis/store-comparison.ts";
import { FAULTS, OUTAGES } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import { logTransitions, repeat } from "./repeat.ts";
import type { Shutdown } from "./shutdown.ts";

const COMPARE_EVERY_MS = 1000;

export interface StoreWatchOptions {
  readonly client: RedisClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly closing: Shutdown;
  /** Hears which phase of V1 keys the store has. */
  readonly phase: (stored: MigrationState | undefined) => Promise<void>;
}

/** What an instance asks of Redis each second: its time, and whether all is there. */
export interface StoreWatch {
  /** From now on `missed` hears when the store has lost single names. */
  begin(missed: () => void): void;
}

/** Resolves once the store's clock is known. */
export async function watchStore(options: StoreWatchOptions): Promise<StoreWatch> {
  const { client, clock, log, closing, phase } = options;
  const compare = createStoreComparison(client);
  const ask = async () => {
    const sentMs = performance.now();
    const state = await compare();
    clock.applyStoreTime(state.nowMs, sentMs);
    return state;
  };
  let known = (await ask()).missed;
  return {
    begin(missed) {
      const turn = async () => {
        const state = await ask();
        if (state.missed !== known) {
          log.warn({}, FAULTS.namesLost);
          missed();
        }
        known = state.missed;
        await phase(state.phase);
      };
      closing.defer(
        "comparing with the store",
        repeat(COMPARE_EVERY_MS, ...logTransitions(turn, log, OUTAGES.comparison)),
      );
    },
  };
}
