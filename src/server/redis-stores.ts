import { redisPlace } from "../config/redis-place.ts";
import type { Settings } from "../config/settings.ts";
import type { LeasePool } from "../core/limits/lease-pool.ts";
import { probeCommands, registryProbe } from "../redis/acl-probe.ts";
import { createAuditStore } from "../redis/audit-store.ts";
import { createBucketAdmin } from "../redis/bucket-admin.ts";
import type { RedisClient, RedisOptions } from "../redis/client.ts";
import { connectRedis } from "../redis/client.ts";
import { followAddress } from "../redis/follow-address.ts";
import { createKeyStore } from "../redis/key-store.ts";
import type { OneServer } from "../redis/one-server.ts";
import type { FeedOptions } from "../redis/revocation-feed.ts";
import { createSecretStore } from "../redis/secret-store.ts";
import type { SpreadClient } from "../redis/spread-client.ts";
import { redisWarnings } from "../redis/warnings.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import { joinFleet } from "./fleet.ts";
import type { FleetGuard } from "./fleet-guard.ts";
import { createFleetGuard } from "./fleet-guard.ts";
import type { StoreDriver, StoreOptions, Stores } from "./ports.ts";
import { followPrimary, logRedisTls } from "./primary-watch.ts";
import { randomText } from "./random-id.ts";
import { repeat } from "./repeat.ts";
import { createSharedBuckets } from "./shared-buckets.ts";
import { openSpread } from "./spread.ts";
import { watchStore } from "./store-watch.ts";

/** Buckets that an instance knows at a time: about 300 bytes each. */
const MAX_BUCKETS = 1_000_000;

const HEARTBEAT_EVERY_MS = 1000;
const RETURN_EVERY_MS = 50;
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

async function openRedis(options: StoreOptions): Promise<Stores> {
  const { settings, shutdown, log, metrics } = options;
  const place = {
    ...redisPlace(settings, logRedisTls(log)),
    server: followPrimary(log, metrics.store),
    observe: metrics.store.command,
  };
  const client = await connectRedis({ ...place, ...deadlineOf(settings) });
  shutdown.defer("the connection to Redis", client.close);
  for (const warning of await redisWarnings(client, place)) log.warn({}, warning);
  const instanceId = randomText();
  await probeCommands(client, registryProbe(client, instanceId));
  const guard = createFleetGuard();
  const { spread, ...spreadNodes } = await openSpread(
    { client, place, instanceId, ...deadlineOf(settings) },
    options,
  );
  const buckets = await openSharedBuckets({ client, spread, instanceId, guard }, options);
  watchAddress(client, place, options);
  const registryClient = await openRegistryClient(client, place, options);
  const onFeedEntry: FeedOptions["onEntry"] = (entry) => {
    if (entry.kind === "buckets") for (const bucketId of entry.bucketIds) buckets.forget(bucketId);
    else void options.events.legacyEntry.publish(entry);
  };
  const watch = await watchStore({ ...options, client });
  const fleet = await joinFleet({ client, place, instanceId, onFeedEntry, guard }, options);
  watch.begin(fleet.suspectLoss);
  return {
    onStarted() {
      client.finishStartup();
      spreadNodes.finishStartup();
      registryClient.finishStartup();
    },
    keys: guard.keys(createKeyStore(registryClient, keyStoreOptions(settings))),
    fleet,
    audit: guard.audit(createAuditStore(client, instanceId)),
    buckets,
    bucketAdmin: guard.buckets(createBucketAdmin({ registry: client, spread, forget: buckets.forget })),
    secrets: createSecretStore(client),
    server: place.server.current,
  };
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
  { policy, log, shutdown, metrics }: StoreOptions,
): Promise<LeasePool> {
  const { pool, membership } = createSharedBuckets({
    client,
    spread,
    guard,
    instanceId,
    monotonicMs: () => performance.now(),
    faults: () => policy().faults,
    newRandom: randomText,
    maxBuckets: MAX_BUCKETS,
    observe: metrics.store.leases,
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
  shutdown.defer("the leases", pool.close);
  const stopReturns = repeat(RETURN_EVERY_MS, pool.sweep, () => undefined);
  shutdown.defer("the return of leases", stopReturns);
  return pool;
}
