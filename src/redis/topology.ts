import type { ConnectionOptions } from "node:tls";
import { Redis } from "ioredis";
import { formatHostPort } from "../config/host-port.ts";
import type { RedisAddress } from "../config/redis-url.ts";
import type { Endpoint } from "./connector.ts";
import { createConnector } from "./connector.ts";
import { findPrimary } from "./sentinels.ts";

/** How the primary is found. */
export type TopologyName = "single" | "sentinel";

/** The client of ioredis for a topology. */
export interface TopologyClient {
  readonly redis: Redis;
  readonly topology: TopologyName;
  /** The address of the latest connection, without credentials: `host:port`, or the path of a socket. */
  address(): string;
}

export interface TopologyOptions {
  readonly address: RedisAddress;
  /** Milliseconds. They can be changed in the options of the client. A Sentinel must respond within `connectTimeout`. */
  readonly timeouts: Readonly<Record<"connectTimeout" | "commandTimeout" | "socketTimeout", number>>;
  /** The delay before the next attempt to connect. */
  readonly retryDelayMs: () => number;
}

/** Decides which client is made. No client resends a command, and none queues one. */
export function createTopologyClient({ address, timeouts, retryDelayMs }: TopologyOptions): TopologyClient {
  const topology = address.sentinels === undefined ? "single" : "sentinel";
  let latest = "";
  const locate = async () => {
    const endpoint = await locatePrimary(address, redis.options.connectTimeout ?? timeouts.connectTimeout);
    latest = "path" in endpoint ? endpoint.path : formatHostPort(endpoint);
    return endpoint;
  };
  const redis: Redis = new Redis({
    Connector: createConnector({ locate, ...(address.tls && { tls: () => tlsOptions(address) }) }),
    // ioredis then waits for the handshake of TLS.
    ...(address.tls && { tls: {} }),
    lazyConnect: true,
    ...timeouts,
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
  return { redis, topology, address: () => latest };
}

async function locatePrimary(address: RedisAddress, timeoutMs: number): Promise<Endpoint> {
  const { sentinels, socket, host = "127.0.0.1", port = 6379, natMap } = address;
  if (sentinels === undefined) return socket === undefined ? { host, port } : { path: socket };
  const { tls, ...group } = sentinels;
  const inside = await findPrimary({
    ...group,
    ...(tls && { tls: () => tlsOptions(address) }),
    timeoutMs,
  });
  return natMap?.get(formatHostPort(inside)) ?? inside;
}

function tlsOptions({ tlsMaterial }: RedisAddress): ConnectionOptions {
  return { ...tlsMaterial?.() };
}
