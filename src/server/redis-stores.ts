import { redisPlace } from "../config/redis-place.ts";
import type { Settings } from "../config/settings.ts";
import type { LeasePool } from "../core/limits/lease-pool.ts";
import { probeCommands, registryProbe } from "../redis/acl-probe.ts";
import { createAuditStore } from "../redis/audit-store.ts";
import { createBucketAdmin } from "../redis/bucket-admin.ts";
import type { RedisClient, RedisOptions } from "../redis/client.ts";
import { connectRedis } from "../redis/client.ts";
import { createDropLeases } from "../redis/drop-leases.ts";
import { followAddress } from "../redis/follow-address.ts";
import { createKeyStore } from "../redis/key-store.ts";
import { createLostWriteStore } from "../redis/lost-writes.ts";
import type { OneServer } from "../redis/one-server.ts";
import { createQuotaAdmin } from "../redis/quota-admin.ts";
import type { FeedOptions } from "../redis/revocation-feed.ts";
import { createSecretStore } from "../redis/secret-store.ts";
import type { SpreadClient } from "../redis/spread-client.ts";
import { createUsageStore } from "../redis/usage-store.ts";
import { redisWarnings } from "../redis/warnings.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import { joinFleet } from "./fleet.ts";
import type { FleetGuard } from "./fleet-guard.ts";
import { createFleetGuard } from "./fleet-guard.ts";
import type { LostWrites } from "./lost-writes.ts";
import { createLostWrites } from "./lost-writes.ts";
import type { StoreDriver, StoreOptions, Stores } from "./ports.ts";
import { followPrimary, logRedisTls } from "./primary-watch.ts";
import { keepLeases } from "./quota-upkeep.ts";
import { randomText } from "./random-id.ts";
import { repeat } from "./repeat.ts";
import { createSharedBuckets } from "./shared-buckets.ts";
import { openSpread } from "./spread.ts";
import { watchStore } from "./store-watch.ts";
import { usageRetentionOf } from "./usage.ts";

/** Buckets that an instance knows at a time: about 300 bytes each. */
const MAX_BUCKETS = 1_000_000;
const MAX_DESCRIPTOR_BUCKETS = 500_000;

const HEARTBEAT_EVERY_MS = 1000;
/** Each turn opens a connection: a thousand instances open 200 a second. */
const ADDRESS_EVERY_MS = 5000;
/** Reserved from the command deadline for Redis's own reply. */
const REPLY_MARGIN_MS = 10;

/** One Redis that all instances of a fleet share. */
export const redisStore: StoreDriver = {
  open: openRedis,
  async openSecrets(settings) {
    const client = await connectRedis({ ...redisPlace(settings), ...deadlineOf(settings) });
    return { secrets: createSecretStore(client), close: client.close };
  },
};

/** Connects to the primary, and verifies that it can be used. */
async function openPrimary(options: StoreOptions, onMove: () => void) {
  const { settings, shutdown, log, metrics } = options;
  const primary = followPrimary(log, metrics.store, { nowMs: options.clock.nowMs, onMove });
  const place = {
    ...redisPlace(settings, logRedisTls(log)),
    server: primary.server,
    observe: metrics.store.command,
  };
  const client = await connectRedis({ ...place, ...deadlineOf(settings) });
  shutdown.defer("the connection to Redis", client.close);
  await logWarnings(client, place, options);
  const instanceId = randomText();
  await probeCommands(client, registryProbe(client, instanceId));
  return { client, place, instanceId, primary };
}

async function openRedis(options: StoreOptions): Promise<Stores> {
  const { settings } = options;
  const onLoss = () => void options.events.loss.publish();
  const { client, place, instanceId, primary } = await openPrimary(options, onLoss);
  const guard = createFleetGuard();
  const { spread, ...spreadNodes } = await openSpread(
    { client, place, instanceId, ...deadlineOf(settings) },
    options,
  );
  const { buckets, ...limits } = await openSharedBuckets({ client, spread, instanceId, guard }, options);
  watchAddress(client, place, options);
  const registryClient = await openRegistryClient(client, place, options);
  const onFeedEntry = createFeedEntryHandler(buckets, options);
  const watch = await watchStore({ ...options, client });
  const lostWrites = createLostWrites(options);
  const fleet = await joinFleet({ client, place, instanceId, onFeedEntry, guard, lostWrites }, options);
  watch.begin(() => {
    fleet.suspectLoss();
    onLoss();
  });
  beginLostWrites(lostWrites, client, settings);
  const dropLeases = createDropLeases(client, buckets.forget);
  const usage = { instanceId, retention: usageRetentionOf(settings), nowMs: options.clock.storeNowMs };
  return {
    onStarted() {
      client.finishStartup();
      spreadNodes.finishStartup();
      registryClient.finishStartup();
    },
    keys: guard.keys(
      createKeyStore(registryClient, { ...keyStoreOptions(settings), onAcknowledged: lostWrites.remember }),
    ),
    fleet,
    place: primary.place,
    rememberedChanges: lostWrites.size,
    audit: guard.audit(createAuditStore(client, instanceId)),
    usage: guard.usage(createUsageStore({ registry: client, spread, ...usage })),
    buckets,
    ...limits,
    bucketAdmin: guard.buckets(createBucketAdmin({ spread, dropLeases, forget: buckets.forget })),
    quotaAdmin: guard.quotas(createQuotaAdmin(spread, dropLeases)),
    secrets: createSecretStore(client),
  };
}

function createFeedEntryHandler(
  buckets: Pick<LeasePool, "forget">,
  { events }: Pick<StoreOptions, "events">,
): FeedOptions["onEntry"] {
  return (entry) => {
    if (entry.kind === "buckets") for (const bucketId of entry.bucketIds) buckets.forget(bucketId);
    else void events.legacyEntry.publish(entry);
  };
}

async function logWarnings(client: RedisClient, place: Place, { settings, log }: StoreOptions) {
  const warnings = await redisWarnings(client, { ...place, waitReplicas: settings.REDIS_WAIT_REPLICAS });
  for (const warning of warnings) log.warn({}, warning);
}

function deadlineOf({ REDIS_COMMAND_TIMEOUT_MS }: Settings) {
  return { commandTimeoutMs: REDIS_COMMAND_TIMEOUT_MS };
}

function keyStoreOptions({ RECORD_RETENTION, REDIS_WAIT_REPLICAS, REDIS_COMMAND_TIMEOUT_MS }: Settings) {
  return {
    recordRetentionSeconds: RECORD_RETENTION,
    waitReplicas: REDIS_WAIT_REPLICAS,
    replicaTimeoutMs: Math.max(1, REDIS_COMMAND_TIMEOUT_MS - REPLY_MARGIN_MS),
    newRandom: randomText,
  };
}

/** Entered changes stay in memory until a replica has them, so no commit waits for replicas. */
function beginLostWrites(lostWrites: LostWrites, client: RedisClient, settings: Settings): void {
  const options = { ...keyStoreOptions(settings), waitReplicas: 0 };
  lostWrites.begin({ ...createKeyStore(client, options), ...createLostWriteStore(client, options) });
}

type Place = Omit<RedisOptions, "commandTimeoutMs">;

/** Follows the address of Redis when it leads to another server. */
function watchAddress(
  client: RedisClient,
  { observe: _, ...place }: Place & { readonly server: OneServer },
  { settings, shutdown }: StoreOptions,
): void {
  const options = { ...place, ...deadlineOf(settings) };
  const follow = () => followAddress(options, client);
  // A failure is ignored here: the commands that need Redis report it.
  const stop = repeat(ADDRESS_EVERY_MS, follow, () => undefined);
  shutdown.defer("the watch on the address of Redis", stop);
}

/** WAIT blocks all later commands of its connection. With it the registry has a connection of its own. */
async function openRegistryClient(
  client: RedisClient,
  place: Place,
  { settings, shutdown }: StoreOptions,
): Promise<RedisClient> {
  if (settings.REDIS_WAIT_REPLICAS === 0) return client;
  const own = await connectRedis({ ...place, ...deadlineOf(settings) });
  shutdown.defer("the registry's connection to Redis", own.close);
  return own;
}

interface BucketDeps {
  readonly client: RedisClient;
  readonly spread: SpreadClient;
  readonly instanceId: string;
  readonly guard: FleetGuard;
}

async function openSharedBuckets(
  { client, spread, instanceId, guard }: BucketDeps,
  { policy, log, shutdown, metrics, clock, events }: StoreOptions,
): Promise<
  Pick<Stores, "chargedQuotas"> & { readonly buckets: LeasePool; readonly descriptorLimits: LeasePool }
> {
  const { pool, descriptorPool, membership, counters } = createSharedBuckets({
    client,
    spread,
    guard,
    instanceId,
    monotonicMs: () => performance.now(),
    faults: () => policy().faults,
    newRandom: randomText,
    maxBuckets: MAX_BUCKETS,
    maxDescriptorBuckets: MAX_DESCRIPTOR_BUCKETS,
    observe: metrics.store.leases,
    quotas: {
      storeNowMs: clock.storeNowMs,
      onThreshold: events.threshold.publish,
      observe: metrics.store.quotas,
    },
  });
  const heartbeat = async () => {
    try {
      await (guard.differsFromFleet() ? membership.leave() : membership.heartbeat());
      metrics.store.up(true);
    } catch (error) {
      metrics.store.up(false);
      throw error;
    }
  };
  await heartbeat();
  shutdown.defer("the membership", membership.leave);
  const stopHeartbeat = repeat(HEARTBEAT_EVERY_MS, ...logTransitions(heartbeat, log, OUTAGES.redis));
  shutdown.defer("the heartbeat", stopHeartbeat);
  for (const { replay } of counters) events.loss.subscribe(replay);
  keepLeases({ shutdown, log }, [pool, descriptorPool], counters);
  const [ofKeys] = counters;
  if (ofKeys === undefined) throw new RangeError("the shared buckets have counters of quotas");
  return { buckets: pool, descriptorLimits: descriptorPool, chargedQuotas: ofKeys };
}
