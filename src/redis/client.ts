import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import type { RedisAddress } from "../config/redis-url.ts";
import { readRedisUrl } from "../config/redis-url.ts";
import type { OneServer } from "./one-server.ts";
import { createOneServer } from "./one-server.ts";
import type { RedisFaultKind } from "./redis-error.ts";
import { isNotThePrimary, toRedisUnavailable } from "./redis-error.ts";
import type { ServerState } from "./server-state.ts";
import { readServerState } from "./server-state.ts";
import type { Session } from "./session.ts";
import { createSession } from "./session.ts";

/** Which Redis, and how long to wait for it. */
export interface RedisOptions extends RedisAddress {
  /** Instead of all of that. */
  readonly url?: string;
  /** What keeps this connection on one server with others of its instance; absent: it is alone. */
  readonly server?: OneServer;
  /** Milliseconds; a command that takes longer rejects, though it may have been carried out. While starting there is more time. */
  readonly commandTimeoutMs: number;
  readonly observe?: CommandObserver;
}

export type RedisArgument = string | number;

/** Hears of each command's end: its name, or that of the script, and how it failed if it did. */
export type CommandObserver = (command: string, elapsedMs: number, fault?: RedisFaultKind) => void;

/** A Lua script, run in one step on the server. */
export type RedisScript = (keys: readonly string[], args: readonly RedisArgument[]) => Promise<unknown>;

/** What the rest of the room knows of Redis. Every call rejects with `RedisUnavailable`, and nothing is ever sent twice. */
export interface RedisClient {
  command(name: string, ...args: readonly RedisArgument[]): Promise<unknown>;
  /** Several commands in one round trip, each with its own answer; not a transaction. */
  commands(list: readonly (readonly [name: string, ...args: RedisArgument[]])[]): Promise<readonly unknown[]>;
  /** What the server says of itself now. Rejects, and ends all connections of this instance, where its answers do not count. */
  serverState(): Promise<ServerState>;
  /** The name is for whoever observes. */
  script(source: string, name?: string): RedisScript;
  /** From now on the deadline of a command is the one that was asked for. */
  finishStartup(): void;
  /** How often it has connected: another number means that it may be another server. */
  connections(): number;
  /** Which process the connection leads to; undefined while there is none. */
  runId(): string | undefined;
  /** Gives up this connection and makes another one. */
  reconnect(): void;
  close(): Promise<void>;
}

/** A connection is tried again after this at the latest, so that healing is noticed within a second. */
const RECONNECT_MAX_MS = 250;
/** While an instance starts no Check waits for a command; a start that does not get an answer in time tries again. */
const START_TIMEOUT_MS = 1000;
/**
 * A connection that is not made, or has said nothing while it was asked, for so long is given up: it may lead into a
 * black hole. With the time to reconnect this stays below the second in which healing is noticed.
 */
const SILENCE_MS = 600;

/**
 * Connects, or rejects with what is wrong: a fault with a `refusal` does not pass by itself. From then on it reconnects by
 * itself, and each new connection is set up anew before anything is sent.
 */
export async function connectRedis(options: RedisOptions): Promise<RedisClient> {
  const { server = createOneServer() } = options;
  const { username, password, db = 0, ...place } = placeOf(options);
  let failures = 0;
  const redis = new Redis({
    ...wayTo(place),
    lazyConnect: true,
    ...timeouts(Math.max(START_TIMEOUT_MS, options.commandTimeoutMs)),
    // A script whose answer was lost may have run: whoever asked must decide, nothing is sent again behind its back.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: () => Math.min(++failures * 50, RECONNECT_MAX_MS),
    // What is set up on a connection is in session.ts, step by step.
    enableReadyCheck: false,
    disableClientInfo: true,
    // Nothing is under way any more when a connection is ended; ioredis would keep the process for 2 s where it has closed before.
    disconnectTimeout: 0,
    reconnectOnError: null,
    protocol: 2,
  });
  const session = createSession(redis, {
    server,
    db,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    onReady() {
      failures = 0;
    },
  });
  // A failed connection is an event as well, and that says more.
  redis.connect().catch(() => undefined);
  try {
    await session.first;
  } catch (error) {
    session.close();
    throw error;
  }
  return wrap(redis, session, { ...options, server });
}

/** A connection is given up later than any of its commands. */
function timeouts(commandTimeoutMs: number) {
  const silenceMs = Math.max(SILENCE_MS, 1.2 * commandTimeoutMs);
  return { connectTimeout: silenceMs, commandTimeout: commandTimeoutMs, socketTimeout: silenceMs };
}

function placeOf({ url, ...place }: RedisOptions): RedisAddress {
  if (url === undefined) return place;
  const read = readRedisUrl(url);
  if (!read.ok) throw new RangeError(`the URL of Redis ${read.problem}`);
  return read.place;
}

function wayTo({ socket, host = "127.0.0.1", port = 6379, tls }: RedisAddress) {
  return { ...(socket === undefined ? { host, port } : { path: socket }), ...(tls && { tls: {} }) };
}

function wrap(
  redis: Redis,
  session: Session,
  { commandTimeoutMs, observe, server }: RedisOptions & { readonly server: OneServer },
): RedisClient {
  const observed = async <Reply>(name: string, call: () => Promise<Reply>): Promise<Reply> => {
    const beganMs = performance.now();
    try {
      const reply = await call();
      observe?.(name, performance.now() - beganMs);
      return reply;
    } catch (error) {
      const unavailable = toRedisUnavailable(error);
      observe?.(name, performance.now() - beganMs, unavailable.kind);
      if (isNotThePrimary(unavailable)) server.abandon();
      throw unavailable;
    }
  };
  const sendTogether = createCommandBatcher(redis);
  const call = (name: string, ...args: readonly RedisArgument[]) => {
    if (!session.isReady()) return Promise.reject(new Error("there is no connection that is set up"));
    sendTogether();
    return redis.call(name, ...args);
  };
  const command: RedisClient["command"] = (name, ...args) => observed(name, () => call(name, ...args));
  return {
    command,
    serverState: () =>
      observed("INFO", async () => readServerState(String(await call("INFO", "replication")))),
    commands: (list) => Promise.all(list.map(([name, ...args]) => command(name, ...args))),
    script(source, name = "script") {
      const sha = createHash("sha1").update(source).digest("hex");
      const run: RedisScript = async (keys, args) => {
        try {
          return await call("EVALSHA", sha, keys.length, ...keys, ...args);
        } catch (error) {
          // Nothing has run yet: the server has been restarted or its scripts flushed.
          if (error instanceof Error && error.message.startsWith("NOSCRIPT"))
            return call("EVAL", source, keys.length, ...keys, ...args);
          throw error;
        }
      };
      return (keys, args) => observed(name, () => run(keys, args));
    },
    finishStartup() {
      Object.assign(redis.options, timeouts(commandTimeoutMs));
    },
    connections: session.connections,
    runId: session.runId,
    reconnect: session.reconnect,
    async close() {
      session.close();
    },
  };
}

/** Commands of one moment go out in one piece: a hundred Checks that come together would be a hundred system calls. */
function createCommandBatcher(redis: Redis): () => void {
  let isHeld = false;
  return () => {
    const { stream } = redis;
    if (isHeld || stream === undefined) return;
    isHeld = true;
    stream.cork();
    setImmediate(() => {
      isHeld = false;
      stream.uncork();
    });
  };
}
