import { makeFolder } from "../config/folders.ts";
import { redisPlace } from "../config/redis-place.ts";
import type { SecretStore } from "../config/secrets.ts";
import { createFileKeeper } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { AuditStore } from "../core/audit/ports.ts";
import type { Clock } from "../core/clock.ts";
import { errorMessage } from "../core/error-message.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { MigrationState } from "../core/legacy/migration.ts";
import type { LeasePool } from "../core/limits/lease-pool.ts";
import type { BucketAdmin, BucketStore } from "../core/limits/ports.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { FeedEntry } from "../core/revocation/feed-entry.ts";
import type { RevocationView } from "../core/revocation/revocation-view.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import { probeCommands } from "../redis/acl-probe.ts";
import { createAuditStore as createRedisAuditStore } from "../redis/audit-store.ts";
import { createBucketAdmin } from "../redis/bucket-admin.ts";
import type { RedisClient, RedisOptions } from "../redis/client.ts";
import { connectRedis } from "../redis/client.ts";
import { followAddress } from "../redis/follow-address.ts";
import { createKeyStore as createRedisKeyStore } from "../redis/key-store.ts";
import type { SharedSettings } from "../redis/kid-exchange.ts";
import type { OneServer } from "../redis/one-server.ts";
import type { FeedOptions } from "../redis/revocation-feed.ts";
import { createSecretStore } from "../redis/secret-store.ts";
import { redisWarnings } from "../redis/warnings.ts";
import { openThreadedStore } from "../sqlite/threaded-store.ts";
import { observed } from "../sqlite/timed-store.ts";
import { OUTAGES } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { StoreMeter } from "../telemetry/metrics/store-meter.ts";
import { joinFleet } from "./fleet.ts";
import type { FleetGuard } from "./fleet-guard.ts";
import { createFleetGuard } from "./fleet-guard.ts";
import { followPrimary, logRedisTls } from "./primary-watch.ts";
import { randomText } from "./random-id.ts";
import { logTransitions, repeat } from "./repeat.ts";
import { createSharedBuckets } from "./shared-buckets.ts";
import type { Shutdown } from "./shutdown.ts";
import { watchStore } from "./store-watch.ts";

/** Buckets that an instance knows at a time: some 300 bytes each. */
const MAX_BUCKETS = 1_000_000;

const HEARTBEAT_EVERY_MS = 1000;
const PLACE_EVERY_MS = 400;
const RETURN_EVERY_MS = 50;
/** A connection each time: of a thousand instances 200 a second. */
const ADDRESS_EVERY_MS = 5000;
/** Time kept back from the command deadline for Redis's own answer. */
const REPLY_MARGIN_MS = 10;

/** Calls of the embedded key store that show whether it can be written. */
const EMBEDDED_WRITES: ReadonlySet<string> = new Set<keyof KeyStore>([
  "commit",
  "importLegacy",
  "noteUse",
  "sweep",
]);

const monotonicMs = () => performance.now();

/** Where an instance keeps keys, tokens and the secrets that it makes. */
export interface Stores {
  readonly keys: KeyStore;
  readonly buckets: BucketStore;
  readonly bucketAdmin: BucketAdmin;
  readonly secrets: SecretStore;
  /** Whether the database is in its place; absent where it is not ours. */
  readonly isInPlace?: () => boolean;
  /** Nobody waits for the start any more: from now on each command has its own deadline. */
  started(): void;
  readonly audit: AuditStore;
  /** What other instances tell. */
  readonly fleet: Fleet;
}

/** What an instance knows of the others. */
export interface Fleet {
  /** Milliseconds since revocations were last heard of; 0 where there is nobody to hear of. */
  stalenessMs(): number;
  /** The store may have lost a part of what is known here: it is compared, and written back. */
  suspectLoss(): void;
  /** Begins to compare with the others what all must share, and the clock with the store's. */
  compare(own: Comparison): Promise<void>;
  /** Whether it belongs to another fleet, by what it shares; then it changes nothing in the store. */
  differsFromFleet(): boolean;
  /** Milliseconds that this machine's clock is ahead of the store's; negative: behind. */
  clockAheadMs(): number;
}

/** What an instance compares with the others. */
export interface Comparison {
  readonly kids: () => readonly string[];
  readonly settings: SharedSettings;
  /** Called when it belongs to the fleet after all. */
  readonly joined: () => void;
}

const STANDALONE: Fleet = {
  stalenessMs: () => 0,
  suspectLoss: () => undefined,
  compare: async () => undefined,
  differsFromFleet: () => false,
  clockAheadMs: () => 0,
};

export type LegacyEntry = Extract<FeedEntry, { kind: "phase" | "legacy" }>;

export interface StoresOptions {
  readonly settings: Settings;
  readonly policy: () => Policy;
  readonly log: Log;
  readonly closing: Shutdown;
  /** Hears what other instances tell of V1 keys. */
  readonly onFeedEntry: (entry: LegacyEntry) => void;
  /** Something of that may have been missed. */
  readonly onGap: () => Promise<void>;
  /** Hears which phase of V1 keys the store has; of none, when it has lost it. */
  readonly phase: (stored: MigrationState | undefined) => Promise<void>;
  /** Hears what time the store has. */
  readonly clock: Clock;
  /** Is filled with all that ends keys, and kept up. */
  readonly view: RevocationView;
  /** Hears how the store does. */
  readonly meter: StoreMeter;
  /** Goes on with what is in DATA_DIR, though the registry that was there before is lost. */
  readonly acceptEmptyRegistry?: boolean;
}

/** Opens the stores that `STORE` names. Rejects when they cannot be had. */
export function openStores(options: StoresOptions): Promise<Stores> {
  return options.settings.STORE === "redis" ? openRedis(options) : openEmbedded(options);
}

async function openEmbedded(options: StoresOptions): Promise<Stores> {
  const { settings, closing, view, meter, clock, acceptEmptyRegistry = false } = options;
  const { DATA_DIR: dataDir, RECORD_RETENTION: recordRetentionSeconds } = settings;
  makeDataFolder(dataDir);
  const thread = { dataDir, recordRetentionSeconds, acceptEmptyRegistry };
  const store = await openThreadedStore(thread, clock.storeNowMs);
  closing.defer("the store", store.close);
  const buckets = createBucketStore({ maxBuckets: MAX_BUCKETS });
  const observe = (call: string, elapsedMs: number, failed: boolean) => {
    meter.command(call, elapsedMs, failed ? "fault" : undefined);
    if (EMBEDDED_WRITES.has(call)) meter.up(!failed);
  };
  if (!(await store.wasOpenRecently(clock.nowMs()))) clock.doubt();
  const keys = observed(store.keys, observe);
  meter.up(true);
  for await (const portion of keys.revocations()) view.apply(portion);
  return {
    keys,
    isInPlace: watchPlace(store.checkPlace, options),
    started: () => undefined,
    fleet: STANDALONE,
    audit: observed(store.audit, observe),
    buckets,
    bucketAdmin: buckets,
    secrets: createFileKeeper(settings.DATA_DIR),
  };
}

/** Looks whether the database is still where the next start looks for it. */
function watchPlace(checkPlace: () => Promise<void>, { log, closing, meter }: StoresOptions): () => boolean {
  let inPlace = true;
  const look = async () => {
    try {
      await checkPlace();
      inPlace = true;
    } catch (error) {
      inPlace = false;
      meter.up(false);
      throw error;
    }
  };
  closing.defer(
    "the look at the store's place",
    repeat(PLACE_EVERY_MS, ...logTransitions(look, log, OUTAGES.place)),
  );
  return () => inPlace;
}

function makeDataFolder(dataDir: string): void {
  try {
    makeFolder(dataDir, 0o700);
  } catch (error) {
    throw new Error(`DATA_DIR ${dataDir} cannot be made: ${errorMessage(error)}`);
  }
}

async function openRedis(options: StoresOptions): Promise<Stores> {
  const { settings, closing, log } = options;
  const place = {
    ...redisPlace(settings, logRedisTls(log)),
    server: followPrimary(log, options.meter),
    observe: options.meter.command,
  };
  const client = await connectRedis({ ...place, commandTimeoutMs: settings.REDIS_COMMAND_TIMEOUT_MS });
  closing.defer("the connection to Redis", client.close);
  for (const warning of await redisWarnings(client, place)) log.warn({}, warning);
  const instanceId = randomText();
  await probeCommands(client, instanceId);
  const guard = createFleetGuard();
  const buckets = await openSharedBuckets({ client, instanceId, guard }, options);
  watchAddress(client, place, options);
  const registryClient = await openRegistryClient(client, place, options);
  const onFeedEntry: FeedOptions["onEntry"] = (entry) => {
    if (entry.kind === "buckets") for (const bucketId of entry.bucketIds) buckets.forget(bucketId);
    else options.onFeedEntry(entry);
  };
  const watch = await watchStore({ ...options, client });
  const fleet = await joinFleet({ client, place, instanceId, onFeedEntry, guard }, options);
  watch.begin(fleet.suspectLoss);
  return {
    started() {
      client.finishStartup();
      registryClient.finishStartup();
    },
    keys: guard.keys(createRedisKeyStore(registryClient, keyStoreOptions(settings))),
    fleet,
    audit: guard.audit(createRedisAuditStore(client, instanceId)),
    buckets,
    bucketAdmin: guard.buckets(createBucketAdmin(client, buckets.forget)),
    secrets: createSecretStore(client),
  };
}

function keyStoreOptions({ RECORD_RETENTION, REDIS_WAIT_REPLICAS, REDIS_COMMAND_TIMEOUT_MS }: Settings) {
  return {
    recordRetentionSeconds: RECORD_RETENTION,
    waitReplicas: REDIS_WAIT_REPLICAS,
    replicaTimeoutMs: Math.max(1, REDIS_COMMAND_TIMEOUT_MS - REPLY_MARGIN_MS),
    newRandom: randomText,
  };
}

function watchAddress(
  client: RedisClient,
  place: Omit<RedisOptions, "commandTimeoutMs"> & { readonly server: OneServer },
  { settings, closing }: StoresOptions,
): void {
  const { observe: _, ...own } = place;
  const options = { ...own, commandTimeoutMs: settings.REDIS_COMMAND_TIMEOUT_MS };
  closing.defer(
    "the watch on the address of Redis",
    // That nothing answers there is found out, and said, by those who need it.
    repeat(
      ADDRESS_EVERY_MS,
      () => followAddress(options, client),
      () => undefined,
    ),
  );
}

/** Where secrets are kept, alone, for a command without an instance. Rejects when the store does not answer. */
export async function openSecrets(
  settings: Settings,
): Promise<{ readonly secrets: SecretStore; close(): Promise<void> }> {
  if (settings.STORE !== "redis")
    return { secrets: createFileKeeper(settings.DATA_DIR), close: async () => undefined };
  const client = await connectRedis({
    ...redisPlace(settings),
    commandTimeoutMs: settings.REDIS_COMMAND_TIMEOUT_MS,
  });
  return { secrets: createSecretStore(client), close: client.close };
}

/** WAIT holds up all that comes after it: with it the registry has a connection of its own. */
async function openRegistryClient(
  client: RedisClient,
  place: Omit<RedisOptions, "commandTimeoutMs">,
  { settings, closing }: StoresOptions,
): Promise<RedisClient> {
  if (settings.REDIS_WAIT_REPLICAS === 0) return client;
  const own = await connectRedis({ ...place, commandTimeoutMs: settings.REDIS_COMMAND_TIMEOUT_MS });
  closing.defer("the registry's connection to Redis", own.close);
  return own;
}

interface BucketDeps {
  readonly client: RedisClient;
  readonly instanceId: string;
  readonly guard: FleetGuard;
}

async function openSharedBuckets(
  { client, instanceId, guard }: BucketDeps,
  { policy, log, closing, meter }: StoresOptions,
): Promise<LeasePool> {
  const { pool, membership } = createSharedBuckets({
    client,
    guard,
    instanceId,
    monotonicMs,
    faults: () => policy().faults,
    newRandom: randomText,
    maxBuckets: MAX_BUCKETS,
    observe: meter.leases,
  });
  const beat = async () => {
    try {
      await (guard.differsFromFleet() ? membership.leave() : membership.heartbeat());
      meter.up(true);
    } catch (error) {
      meter.up(false);
      throw error;
    }
  };
  await beat();
  closing.defer("the membership", membership.leave);
  closing.defer("the heartbeat", repeat(HEARTBEAT_EVERY_MS, ...logTransitions(beat, log, OUTAGES.redis)));
  closing.defer("the leases", pool.close);
  closing.defer(
    "giving back",
    repeat(RETURN_EVERY_MS, pool.sweep, () => undefined),
  );
  return pool;
}
