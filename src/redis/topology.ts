import type { ConnectionOptions } from "node:tls";
import { Redis } from "ioredis";
import type { HostPort } from "../config/host-port.ts";
import { formatHostPort } from "../config/host-port.ts";
import type { RedisAddress, SentinelGroup } from "../config/redis-url.ts";
import { REDIS_PORT } from "../config/redis-url.ts";
import type { ClusterMap, ClusterOptions } from "./cluster-map.ts";
import { findClusterMap } from "./cluster-map.ts";
import type { Endpoint } from "./connector.ts";
import { createConnector } from "./connector.ts";
import { hashSlot } from "./hash-slot.ts";
import { registryKeys } from "./names.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { findPrimary } from "./sentinels.ts";

/** How the primary is found. */
export type TopologyName = "single" | "sentinel" | "cluster";

/** The client of ioredis for a topology. */
export interface TopologyClient {
  readonly redis: Redis;
  readonly topology: TopologyName;
  /** The timeout of a connection that is being made. */
  connectTimeoutMs(): number;
  /** The address of the latest connection, without credentials: `host:port`, or the path of a socket. */
  address(): string;
}

export interface TopologyOptions {
  readonly address: RedisAddress;
  /** Connect to this node of a Cluster. Absent: to the server that holds the registry. */
  readonly node?: HostPort;
  /** It can be changed in the options of the client. A Sentinel must respond within this time, too. */
  readonly connectTimeoutMs: number;
  /** The delay before the next attempt to connect. */
  readonly retryDelayMs: () => number;
}

/** Decides which client is made. No client resends a command, and none queues one. */
export function createTopologyClient({
  address,
  node,
  connectTimeoutMs: firstTimeoutMs,
  retryDelayMs,
}: TopologyOptions): TopologyClient {
  let latest = "";
  const locatePrimary = createPrimaryLocator(address);
  const connectTimeoutMs = () => redis.options.connectTimeout ?? firstTimeoutMs;
  const locate = async () => {
    const endpoint = node ?? (await locatePrimary(connectTimeoutMs()));
    latest = "path" in endpoint ? endpoint.path : formatHostPort(endpoint);
    return endpoint;
  };
  const redis: Redis = new Redis({
    Connector: createConnector({ locate, ...(address.tls && { tls: () => tlsOptions(address) }) }),
    // ioredis then waits for the handshake of TLS.
    ...(address.tls && { tls: {} }),
    lazyConnect: true,
    connectTimeout: firstTimeoutMs,
    // A script whose reply was lost may have run, so only the caller can decide whether to repeat it.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: retryDelayMs,
    // session.ts sets up each connection.
    enableReadyCheck: false,
    disableClientInfo: true,
    reconnectOnError: null,
    protocol: 2,
  });
  return { redis, topology: topologyOf(address), connectTimeoutMs, address: () => latest };
}

function topologyOf({ sentinels, seeds }: RedisAddress): TopologyName {
  if (seeds !== undefined) return "cluster";
  return sentinels === undefined ? "single" : "sentinel";
}

/** How the server that holds the registry is found, for each connection. */
function createPrimaryLocator(address: RedisAddress): (timeoutMs: number) => Promise<Endpoint> {
  const { sentinels, seeds, socket, host = "127.0.0.1", port = REDIS_PORT } = address;
  if (seeds !== undefined) return createRegistryLocator(address, seeds);
  if (sentinels !== undefined) return (timeoutMs) => askSentinels(address, sentinels, timeoutMs);
  return async () => (socket === undefined ? { host, port } : { path: socket });
}

async function askSentinels(
  address: RedisAddress,
  { tls, ...group }: SentinelGroup,
  timeoutMs: number,
): Promise<Endpoint> {
  const inside = await findPrimary({
    ...group,
    ...(tls && { tls: () => tlsOptions(address) }),
    timeoutMs,
  });
  return address.natMap?.get(formatHostPort(inside)) ?? inside;
}

/** All names of the registry lie in the slot of this one. */
const REGISTRY_SLOT = hashSlot(registryKeys(true).epoch);

function createRegistryLocator(
  address: RedisAddress,
  seeds: readonly HostPort[],
): (timeoutMs: number) => Promise<Endpoint> {
  let known: ClusterMap | undefined;
  return async (timeoutMs) => {
    const map = await findClusterMap(clusterOptions(address, seeds, timeoutMs), known);
    known = map;
    const primary = map.primaryOf(REGISTRY_SLOT);
    if (primary !== undefined) return primary;
    const problem = `no node of the Cluster serves slot ${REGISTRY_SLOT}, which holds the registry: look at CLUSTER SLOTS`;
    throw new RedisUnavailable("connection", problem, { cause: undefined });
  };
}

/** How the nodes of a Cluster are asked for its map. */
export function clusterOptions(
  address: RedisAddress,
  seeds: readonly HostPort[],
  timeoutMs: number,
): ClusterOptions {
  const { username, password, natMap } = address;
  return {
    seeds,
    timeoutMs,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(natMap !== undefined && { natMap }),
    ...(address.tls && { tls: () => tlsOptions(address) }),
  };
}

function tlsOptions({ tlsMaterial }: RedisAddress): ConnectionOptions {
  return { ...tlsMaterial?.() };
}
