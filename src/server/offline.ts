import { readConfig } from "../config/load.ts";
import { secretTexts } from "../config/reused-secrets.ts";
import { keyHashSecrets } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import { readText } from "../config/text-file.ts";
import { errorMessage } from "../core/error-message.ts";
import type { ListDeps } from "../core/keys/key-listing.ts";
import type { ImportDeps } from "../core/legacy/legacy-import.ts";
import { createInstanceView } from "../core/revocation/instance-view.ts";
import { createLegacyForm } from "../legacy/hasher.ts";
import { openPolicy } from "../policy/active-policy.ts";
import type { SharedSettings } from "../redis/kid-exchange.ts";
import { unsetSecretLogger } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import { createLog } from "../telemetry/log.ts";
import type { StoreMeter } from "../telemetry/metrics/store-meter.ts";
import { NotOfThisFleet } from "./fleet-guard.ts";
import { sharedSettings } from "./fleet-settings.ts";
import type { Fleet } from "./ports.ts";
import { randomText } from "./random-id.ts";
import { createInstanceClock } from "./runtime.ts";
import { createShutdown } from "./shutdown.ts";
import { createStoreEvents, openStores } from "./stores.ts";

/** What listing and importing keys need. No other operation runs without an instance. */
export type OfflineRegistry = ListDeps & ImportDeps;

/** The registry without an instance. An embedded store is locked. */
export type Offline =
  | { readonly ok: true; readonly registry: OfflineRegistry; close(): Promise<void> }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Without an instance there are no metrics. */
const NO_METER: StoreMeter = {
  command: () => undefined,
  up: () => undefined,
  isUp: () => true,
  primary: () => undefined,
  uncoveredSlots: () => undefined,
  failover: () => undefined,
  lostWrite: () => undefined,
  leases: () => undefined,
  quotas: () => undefined,
};

export async function openOffline(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Offline> {
  const config = readConfig(environment, readText);
  if (!config.ok) return config;
  const { settings } = config;
  const opened = openPolicy(settings);
  if (!opened.ok) return opened;
  const log = logOnStderr(settings);
  const shutdown = createShutdown();
  const policy = opened.policy.current;
  const view = createInstanceView();
  const clock = createInstanceClock(settings, log);
  const runtime = { settings, log, shutdown, clock, metrics: { store: NO_METER } };
  try {
    const stores = await openStores({ ...runtime, policy, view, events: createStoreEvents() });
    const secrets = await keyHashSecrets(settings, stores.secrets, unsetSecretLogger(log));
    await compareWithFleet(stores.fleet, sharedSettings(settings, { keyHashSecrets: secrets }));
    const registry: OfflineRegistry = {
      store: stores.keys,
      view,
      legacy: createLegacyForm(secrets, randomText),
      policy,
      nowMs: clock.nowMs,
      storeClock: clock,
      newRandom: randomText,
    };
    return { ok: true, registry, close: async () => void (await shutdown.run()) };
  } catch (error) {
    await shutdown.run();
    return { ok: false, problems: [errorMessage(error)] };
  }
}

/** Rejects if this is another fleet's store: its instances cannot find V1 keys that are stored under another secret. */
async function compareWithFleet(fleet: Fleet, settings: SharedSettings): Promise<void> {
  await fleet.compare({ kids: () => [], facts: () => ({}), settings, onJoin: () => undefined });
  if (fleet.differsFromFleet()) throw new NotOfThisFleet();
}

function logOnStderr(settings: Settings): Log {
  return createLog({
    level: "error",
    terminal: process.stderr.isTTY,
    secrets: secretTexts(settings),
    write: (text) => process.stderr.write(text),
  });
}
