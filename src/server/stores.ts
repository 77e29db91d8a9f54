import type { Settings } from "../config/settings.ts";
import { createChannel } from "./channel.ts";
import { embeddedStore } from "./embedded-stores.ts";
import type { StoreDriver, StoreEvents, StoreOptions, Stores } from "./ports.ts";
import { redisStore } from "./redis-stores.ts";
import type { RetryUntilAvailable } from "./start-wait.ts";

/** A new store needs one line here, and its name in the setting STORE. If instances share it, `runtime.ts` takes its clock. */
const DRIVERS: Readonly<Record<NonNullable<Settings["STORE"]>, StoreDriver>> = {
  embedded: embeddedStore,
  redis: redisStore,
};

/** Opens the store that the settings name. Rejects if it cannot be opened. */
export function openStores(options: StoreOptions): Promise<Stores> {
  return driverOf(options.settings).open(options);
}

/** Opens the store's secrets alone. Rejects if the store does not respond. */
export function openSecrets(settings: Settings): ReturnType<StoreDriver["openSecrets"]> {
  return driverOf(settings).openSecrets(settings);
}

function driverOf({ STORE = "embedded" }: Settings): StoreDriver {
  return DRIVERS[STORE];
}

export function createStoreEvents(): StoreEvents {
  return {
    legacyEntry: createChannel(),
    gap: createChannel(),
    loss: createChannel(),
    phase: createChannel(),
    threshold: createChannel(),
  };
}

/** Opens the stores. What a failed attempt has opened is closed before the next attempt. */
export async function openStoresWithRetry(
  options: StoreOptions,
  retry: RetryUntilAvailable,
): Promise<Stores> {
  const shutdown = options.shutdown.group();
  return retry(async () => {
    try {
      return await openStores({ ...options, shutdown });
    } catch (error) {
      await shutdown.run();
      throw error;
    }
  });
}
