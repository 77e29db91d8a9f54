import { makeFolder } from "../config/folders.ts";
import { createFileKeeper } from "../config/secrets.ts";
import { errorMessage } from "../core/error-message.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import { createQuotaAdmin } from "../sqlite/quota-admin.ts";
import { createQuotaStore } from "../sqlite/quota-batch.ts";
import type { ThreadedStore } from "../sqlite/threaded-store.ts";
import { openThreadedStore } from "../sqlite/threaded-store.ts";
import { observed } from "../sqlite/timed-store.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import { createEmbeddedLimits } from "./embedded-limits.ts";
import type { Fleet, StoreDriver, StoreOptions, Stores } from "./ports.ts";
import { keepLeases } from "./quota-upkeep.ts";
import { randomText } from "./random-id.ts";
import { repeat } from "./repeat.ts";
import { usageRetentionOf } from "./usage.ts";

/** Buckets in memory: about 300 bytes each. */
const MAX_BUCKETS = 1_000_000;
const MAX_DESCRIPTOR_BUCKETS = 500_000;
const PLACE_CHECK_EVERY_MS = 400;

/** Calls of the key store that show whether it can be written. */
const WRITES: ReadonlySet<string> = new Set<keyof KeyStore>(["commit", "importLegacy", "noteUse", "sweep"]);

const STANDALONE: Fleet = {
  stalenessMs: () => 0,
  suspectLoss: () => undefined,
  compare: async () => undefined,
  differsFromFleet: () => false,
  clockAheadMs: () => 0,
  instances: () => [],
};

/** SQLite in `DATA_DIR` and buckets in memory, for a single process. */
export const embeddedStore: StoreDriver = {
  open: openEmbedded,
  openSecrets: async ({ DATA_DIR }) => ({
    secrets: createFileKeeper(DATA_DIR),
    close: async () => undefined,
  }),
};

async function openEmbedded(options: StoreOptions): Promise<Stores> {
  const { settings, shutdown, view, clock, acceptEmptyRegistry = false } = options;
  const { DATA_DIR: dataDir, RECORD_RETENTION: recordRetentionSeconds } = settings;
  const meter = options.metrics.store;
  makeDataFolder(dataDir);
  const usageRetention = usageRetentionOf(settings);
  const ids = { instanceId: randomText(), usageRetention };
  const thread = { dataDir, recordRetentionSeconds, acceptEmptyRegistry, ...ids };
  const store = await openThreadedStore(thread, clock.storeNowMs);
  shutdown.defer("the store", store.close);
  const observe = (call: string, elapsedMs: number, failed: boolean) => {
    meter.command(call, elapsedMs, failed ? "fault" : undefined);
    if (WRITES.has(call)) meter.up(!failed);
  };
  if (!(await store.wasOpenRecently(clock.nowMs()))) clock.doubt();
  const keys = observed(store.keys, observe);
  meter.up(true);
  for await (const portion of keys.viewEntries()) view.apply(portion);
  return {
    keys,
    isInPlace: watchPlace(store.checkPlace, options),
    onStarted: () => undefined,
    place: () => undefined,
    rememberedChanges: () => 0,
    fleet: STANDALONE,
    audit: observed(store.audit, observe),
    usage: observed(store.usage, observe),
    ...openLimits(store, options),
    secrets: createFileKeeper(dataDir),
  };
}

/** Buckets in memory, and counters of quotas in the database. */
function openLimits(
  { quotas }: Pick<ThreadedStore, "quotas">,
  options: StoreOptions,
): Pick<Stores, "buckets" | "descriptorLimits" | "chargedQuotas" | "bucketAdmin" | "quotaAdmin"> {
  const { storeNowMs } = options.clock;
  const buckets = createBucketStore({ maxBuckets: MAX_BUCKETS });
  const { limits, descriptorLimits, pools, counters } = createEmbeddedLimits({
    buckets,
    faults: () => options.policy().faults,
    maxBuckets: MAX_BUCKETS,
    maxDescriptorBuckets: MAX_DESCRIPTOR_BUCKETS,
    store: createQuotaStore(quotas.takeSteps),
    storeNowMs,
    instanceId: randomText(),
    onThreshold: options.events.threshold.publish,
    observe: options.metrics.store.quotas,
  });
  keepLeases(options, pools, counters);
  const quotaAdmin = createQuotaAdmin({ quotas, nowMs: storeNowMs, forget: pools[0].forget });
  return { buckets: limits, descriptorLimits, chargedQuotas: counters[0], bucketAdmin: buckets, quotaAdmin };
}

/** Returns whether the database is still where the next start looks for it. */
function watchPlace(
  checkPlace: () => Promise<void>,
  { log, shutdown, metrics }: StoreOptions,
): () => boolean {
  let isInPlace = true;
  const check = async () => {
    try {
      await checkPlace();
      isInPlace = true;
    } catch (error) {
      isInPlace = false;
      metrics.store.up(false);
      throw error;
    }
  };
  const stop = repeat(PLACE_CHECK_EVERY_MS, ...logTransitions(check, log, OUTAGES.place));
  shutdown.defer("the check of the store's place", stop);
  return () => isInPlace;
}

function makeDataFolder(dataDir: string): void {
  try {
    makeFolder(dataDir, 0o700);
  } catch (error) {
    throw new Error(`DATA_DIR ${dataDir} cannot be made: ${errorMessage(error)}`);
  }
}
