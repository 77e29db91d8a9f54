import { createHash } from "node:crypto";
import type { HostPort } from "../config/host-port.ts";
import type { RedisAddress } from "../config/redis-url.ts";
import { readRedisUrl } from "../config/redis-url.ts";
import type { RedisArgument } from "./command-batches.ts";
import { createCommandBatches } from "./command-batches.ts";
import type { CommandObserver } from "./command-observer.ts";
import { observed } from "./command-observer.ts";
import type { RegistryKeys } from "./names.ts";
import { registryKeys } from "./names.ts";
import type { OneServer } from "./one-server.ts";
import { createOneServer } from "./one-server.ts";
import { isNotThePrimary, isNotTheRegistry, RedisUnavailable } from "./redis-error.ts";
import type { ServerState } from "./server-state.ts";
import { readServerState, rejectMinority } from "./server-state.ts";
import type { Session } from "./session.ts";
import { createSession } from "./session.ts";
import type { TopologyClient } from "./topology.ts";
import { createTopologyClient } from "./topology.ts";

export type { RedisArgument };

/** The address of Redis, and the timeouts. */
export interface RedisOptions extends RedisAddress {
  /** Replaces the members of the address. */
  readonly url?: string;
  /** Connects to this node of a Cluster, whatever it serves. Absent: to the server that holds the registry. */
  readonly node?: HostPort;
  /** Keeps this connection on the same server as the other connections of the instance. Absent: the only connection. */
  readonly server?: OneServer;
  /** A slower command rejects, although Redis may have executed it. During the start the timeout is longer. */
  readonly commandTimeoutMs: number;
  readonly observe?: CommandObserver;
}

/** A Lua script, which Redis runs atomically. */
export type RedisScript = (keys: readonly string[], args: readonly RedisArgument[]) => Promise<unknown>;

/** A connection to the server that holds the registry. A failed call rejects with `RedisUnavailable`. No command is ever resent. */
export interface RedisClient {
  /** The names of what this server holds. */
  readonly keys: RegistryKeys;
  command(name: string, ...args: readonly RedisArgument[]): Promise<unknown>;
  /** Several commands in one round trip, each with its own reply. This is not a transaction. */
  commands(list: readonly (readonly [name: string, ...args: RedisArgument[]])[]): Promise<readonly unknown[]>;
  /** Reads the server's state. If its replies cannot be trusted, it rejects and ends all connections of the instance. */
  serverState(): Promise<ServerState>;
  /** The name is passed to the observer. */
  script(source: string, name?: string): RedisScript;
  /** From now on `commandTimeoutMs` applies. */
  finishStartup(): void;
  /** The number of connections so far. After it has changed, the server may be another one. */
  connections(): number;
  /** The run id of the connected server process; undefined without a connection. */
  runId(): string | undefined;
  /** Ends this connection and makes a new one. */
  reconnect(): void;
  close(): Promise<void>;
}

/** Maximum delay between attempts to connect, so that recovery is noticed within a second. */
const RECONNECT_MAX_MS = 250;
/** During a start no Check waits for a command. A start whose command times out is repeated. */
const START_TIMEOUT_MS = 1000;
/**
 * A connection that cannot be made or does not respond for this time is ended, because its packets may be dropped. Together
 * with the reconnect delay this stays below a second.
 */
const RESPONSE_TIMEOUT_MS = 600;

/**
 * Connects. Rejects with the fault of the first connection: one with a `rejectedSetting` needs a change of settings. Later
 * it reconnects by itself and sets up each new connection before it sends commands.
 */
export async function connectRedis(options: RedisOptions): Promise<RedisClient> {
  const { server = createOneServer() } = options;
  const address = addressOf(options);
  const { username, password, db = 0 } = address;
  let failures = 0;
  const made = createTopologyClient({
    address,
    ...(options.node && { node: options.node }),
    connectTimeoutMs: connectionTimeoutMs(startTimeoutMs(options.commandTimeoutMs)),
    retryDelayMs: () => Math.min(++failures * 50, RECONNECT_MAX_MS),
  });
  const { redis } = made;
  const session = createSession(redis, {
    server,
    place: () => ({ topology: made.topology, address: made.address() }),
    db,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    setUpTimeoutMs: made.connectTimeoutMs,
    onReady() {
      failures = 0;
    },
  });
  // A failed connection is also reported as an event, with more details.
  redis.connect().catch(() => undefined);
  try {
    await session.first;
  } catch (error) {
    session.close();
    throw error;
  }
  return wrap(made, session, { ...options, server });
}

function startTimeoutMs(commandTimeoutMs: number): number {
  return Math.max(START_TIMEOUT_MS, commandTimeoutMs);
}

/** How long a connection may take until it is made, then until it is set up, and how long it may be silent while commands wait. */
function connectionTimeoutMs(commandTimeoutMs: number): number {
  return Math.max(RESPONSE_TIMEOUT_MS, 1.2 * commandTimeoutMs);
}

function addressOf({ url, ...address }: RedisOptions): RedisAddress {
  if (url === undefined) return address;
  const read = readRedisUrl(url);
  if (!read.ok) throw new RangeError(`the URL of Redis ${read.problem}`);
  return read.place;
}

function wrap(
  { redis, topology, connectTimeoutMs }: TopologyClient,
  session: Session,
  { commandTimeoutMs, observe, server, node }: RedisOptions & { readonly server: OneServer },
): RedisClient {
  // A node that redirects one slot serves others.
  const isWrongServer = node === undefined ? isNotTheRegistry : isNotThePrimary;
  const run = async <Reply>(name: string, call: () => Promise<Reply>): Promise<Reply> => {
    try {
      return await observed(observe, name, call);
    } catch (error) {
      if (error instanceof RedisUnavailable && isWrongServer(error)) server.abandon();
      throw error;
    }
  };
  let timeoutMs = startTimeoutMs(commandTimeoutMs);
  const send = createCommandBatches(redis, { commandMs: () => timeoutMs, silenceMs: connectTimeoutMs });
  const call = (name: string, ...args: readonly RedisArgument[]) =>
    session.isReady() ? send(name, args) : Promise.reject(new Error("no connection is set up"));
  const command: RedisClient["command"] = (name, ...args) => run(name, () => call(name, ...args));
  return {
    keys: registryKeys(topology === "cluster"),
    command,
    serverState: () =>
      run("INFO", async () => {
        const [info, cluster] = await Promise.all([
          call("INFO", "replication"),
          topology === "cluster" ? call("CLUSTER", "INFO") : undefined,
        ]);
        if (cluster !== undefined) rejectMinority(String(cluster));
        return readServerState(String(info), topology);
      }),
    commands: (list) => Promise.all(list.map(([name, ...args]) => command(name, ...args))),
    script(source, name = "script") {
      const sha = createHash("sha1").update(source).digest("hex");
      const runScript: RedisScript = async (keys, args) => {
        try {
          return await call("EVALSHA", sha, keys.length, ...keys, ...args);
        } catch (error) {
          // The script has not run: the server was restarted or its scripts were flushed.
          if (error instanceof Error && error.message.startsWith("NOSCRIPT"))
            return call("EVAL", source, keys.length, ...keys, ...args);
          throw error;
        }
      };
      return (keys, args) => run(name, () => runScript(keys, args));
    },
    finishStartup() {
      timeoutMs = commandTimeoutMs;
      redis.options.connectTimeout = connectionTimeoutMs(commandTimeoutMs);
    },
    connections: session.connections,
    runId: session.runId,
    reconnect: session.reconnect,
    async close() {
      session.close();
    },
  };
}
