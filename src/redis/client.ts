import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import type { RedisFaultKind } from "./redis-error.ts";
import { toRedisUnavailable } from "./redis-error.ts";

/** Which Redis, and how long to wait for it. */
export interface RedisOptions {
  /** Instead of host, port and db. */
  readonly url?: string;
  readonly host?: string;
  readonly port?: number;
  readonly db?: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: boolean;
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
  /** The name is for whoever observes. */
  script(source: string, name?: string): RedisScript;
  /** From now on the deadline of a command is the one that was asked for. */
  started(): void;
  /** How often it has connected: another number means that it may be another server. */
  connections(): number;
  /** Gives up this connection and makes another one. */
  reconnect(): void;
  close(): Promise<void>;
}

/** A connection is tried again after this at the latest, so that healing is noticed within a second. */
const RECONNECT_MAX_MS = 250;
/** While an instance starts nobody waits for it but whoever started it. */
const START_TIMEOUT_MS = 2000;
/**
 * A connection that is not made, or has said nothing while it was asked, for so long is given up: it may lead into a
 * black hole. With the time to reconnect this stays below the second in which healing is noticed.
 */
const SILENCE_MS = 600;

/** Connects, or rejects with what is wrong. From then on it reconnects by itself. */
export async function connectRedis(options: RedisOptions): Promise<RedisClient> {
  const redis = new Redis({
    ...placeOf(options),
    lazyConnect: true,
    ...timeouts(Math.max(START_TIMEOUT_MS, options.commandTimeoutMs)),
    // A script whose answer was lost may have run: whoever asked must decide, nothing is sent again behind its back.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: (tries) => Math.min(tries * 50, RECONNECT_MAX_MS),
    maxLoadingRetryTime: RECONNECT_MAX_MS,
    // Our user may not set it.
    disableClientInfo: true,
    reconnectOnError: null,
    protocol: 2,
  });
  let lastError: unknown;
  // Each command tells its own; without a listener this event would end the process.
  redis.on("error", (error) => {
    lastError = error;
  });
  try {
    await redis.connect();
  } catch (error) {
    redis.disconnect();
    // What connect rejects with says only that the connection is closed.
    throw toRedisUnavailable(lastError ?? error);
  }
  return wrap(redis, options);
}

/** A connection is given up later than any of its commands. */
function timeouts(commandTimeoutMs: number) {
  const silenceMs = Math.max(SILENCE_MS, 1.2 * commandTimeoutMs);
  return { connectTimeout: silenceMs, commandTimeout: commandTimeoutMs, socketTimeout: silenceMs };
}

function placeOf({ url, host, port, db, username, password, tls }: RedisOptions) {
  const from = url === undefined ? undefined : new URL(url);
  const socket = from?.protocol === "unix:" ? decodeURIComponent(from.pathname) : undefined;
  const secure = from === undefined ? tls : from.protocol === "rediss:";
  const user = username ?? decode(from?.username);
  const secret = password ?? decode(from?.password);
  return {
    ...(socket === undefined
      ? {
          host: from?.hostname.replace(/^\[|\]$/g, "") ?? host ?? "127.0.0.1",
          port: Number(from?.port || port || 6379),
          db: Number(from?.pathname.slice(1) || db || 0),
        }
      : { path: socket, db: db ?? 0 }),
    ...(user !== undefined && { username: user }),
    ...(secret !== undefined && { password: secret }),
    ...(secure && { tls: {} }),
  };
}

function decode(part: string | undefined): string | undefined {
  return part ? decodeURIComponent(part) : undefined;
}

function wrap(redis: Redis, { commandTimeoutMs, observe }: RedisOptions): RedisClient {
  let connections = 1;
  redis.on("ready", () => {
    connections++;
  });
  const observed = async (name: string, call: () => Promise<unknown>): Promise<unknown> => {
    const beganMs = performance.now();
    try {
      const reply = await call();
      observe?.(name, performance.now() - beganMs);
      return reply;
    } catch (error) {
      const unavailable = toRedisUnavailable(error);
      observe?.(name, performance.now() - beganMs, unavailable.kind);
      throw unavailable;
    }
  };
  const sendTogether = createSendTogether(redis);
  const call = (name: string, ...args: readonly RedisArgument[]) => {
    sendTogether();
    return redis.call(name, ...args);
  };
  const command: RedisClient["command"] = (name, ...args) => observed(name, () => call(name, ...args));
  return {
    command,
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
    started() {
      Object.assign(redis.options, timeouts(commandTimeoutMs));
    },
    connections: () => connections,
    reconnect: () => redis.disconnect(true),
    async close() {
      redis.disconnect();
    },
  };
}

/** Commands of one moment go out in one piece: a hundred Checks that come together would be a hundred system calls. */
function createSendTogether(redis: Redis): () => void {
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
