import type { Clock } from "../core/clock.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import type { KeyRecord, LegacyPart } from "../core/keys/key-record.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { Migration } from "../core/legacy/migration.ts";
import { createMigration } from "../core/legacy/migration.ts";
import type { LegacyForm } from "../core/legacy/ports.ts";
import { createLegacyForm } from "../legacy/hasher.ts";
import { createLegacyVerifier } from "../legacy/verifier.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import { tokenCacheSize } from "./cache-size.ts";
import type { MigrationPhase } from "./migration-phase.ts";
import { createMigrationPhase } from "./migration-phase.ts";
import type { LegacyEntry, StoreEvents, Stores } from "./ports.ts";
import { randomText } from "./random-id.ts";
import type { Runtime } from "./runtime.ts";
import type { RetryUntilAvailable } from "./start-wait.ts";

/** Longer than Envoy waits. A store that hangs must not collect Checks without bound. */
const WAIT_MS = 1000;

export interface LegacyDeps {
  readonly keys: KeyStore;
  readonly keyHashSecrets: [string, ...string[]];
  readonly events: StoreEvents;
}

/** Verifies V1 keys, and keeps the phase of their migration. */
export interface LegacyServices {
  readonly form: LegacyForm;
  readonly migration: Migration;
  readonly phase: MigrationPhase;
  readonly verifier: KeyVerifier;
  /** Applies a change of V1 keys. */
  onFeedEntry(entry: LegacyEntry): void;
  /** Call after a gap in the feed. Reads the phase again and revalidates cached keys. */
  resync(): Promise<void>;
}

/** Subscribes to the store's events. State from before the subscription is read by {@link loadPhase}. */
export function createLegacyServices(
  { clock, log, settings }: Pick<Runtime, "clock" | "log" | "settings">,
  { keys, keyHashSecrets, events }: LegacyDeps,
): LegacyServices {
  const form = createLegacyForm(keyHashSecrets, randomText);
  const migration = createMigration();
  const verifier = createLegacyVerifier({
    form,
    find: (hashes) => keys.findLegacy(hashes),
    onOutdatedHash: (record, kept) => {
      rehash(keys, clock, record, kept).catch((error: unknown) =>
        log.warn({ err: error }, FAULTS.notRehashed),
      );
    },
    monotonicMs: () => performance.now(),
    waitMs: WAIT_MS,
    cacheSize: tokenCacheSize(settings.WORKERS),
  });
  const phase = createMigrationPhase({ migration, keys, clock, log });
  const onFeedEntry = (entry: LegacyEntry) => {
    if (entry.kind === "phase") migration.applyState(entry.state);
    else verifier.forget(entry.keyIds);
  };
  const resync = async () => {
    verifier.revalidateAll();
    await phase.onStored(await keys.migration());
  };
  events.legacyEntry.subscribe(onFeedEntry);
  events.gap.subscribe(resync);
  events.phase.subscribe(phase.onStored);
  return { form, migration, phase, verifier, onFeedEntry, resync };
}

export interface PhaseDeps {
  readonly policy: ActivePolicy;
  readonly stores: Pick<Stores, "fleet">;
  readonly retry: RetryUntilAvailable;
}

/** Reads the stored phase, and applies the policy's phase now and after each reload. */
export async function loadPhase(
  { phase, resync }: LegacyServices,
  { policy, stores, retry }: PhaseDeps,
): Promise<void> {
  // An instance of another fleet changes nothing in the store.
  if (stores.fleet.differsFromFleet()) await retry(resync);
  else await retry(() => phase.applyPolicy(policy.current()));
  policy.onReload((reload) => {
    if (reload.kind === "taken") phase.followPolicy(policy.current());
  });
}

/** Stores a key under the current secret. Does nothing if another instance has already done so. */
async function rehash(
  store: KeyStore,
  clock: Pick<Clock, "storeNowMs">,
  record: KeyRecord,
  kept: LegacyPart,
): Promise<void> {
  const current = await store.load(record.keyId);
  if (current?.legacy === undefined || current.legacy.hash === kept.hash) return;
  const former = [current.legacy.hash, current.legacy.alias].filter((hash) => hash !== undefined);
  await store.commit({
    nowSeconds: Math.floor(clock.storeNowMs() / 1000),
    put: [{ ...current, legacy: { ...current.legacy, ...kept }, version: current.version + 1 }],
    forgetHashes: former.filter((hash) => hash !== kept.hash && hash !== kept.alias),
    audit: [],
  });
}
