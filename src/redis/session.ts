import type { Redis } from "ioredis";
import type { OneServer, ServerConnection } from "./one-server.ts";
import type { RedisUnavailable } from "./redis-error.ts";
import { toRedisUnavailable, RedisUnavailable as Unavailable } from "./redis-error.ts";
import type { ServerState } from "./server-state.ts";
import { readServerState } from "./server-state.ts";

/** As whom, and in which database. */
export interface SessionOptions {
  readonly username?: string;
  readonly password?: string;
  readonly db: number;
  readonly server: OneServer;
  /** Called each time that a connection is set up. */
  readonly onReady: () => void;
}

/** What has been set up on the connections that ioredis makes, one after the other. */
export interface Session {
  /** Resolves once a connection is set up; rejects with what is wrong with the first one. */
  readonly first: Promise<void>;
  /** Whether the connection of this moment is set up: nothing else may be sent before. */
  isReady(): boolean;
  /** Which process it leads to; undefined while it is not set up. */
  runId(): string | undefined;
  /** How many have been set up so far. */
  connections(): number;
  reconnect(): void;
  close(): void;
}

/**
 * Sets up every connection: AUTH, SELECT and a look at INFO, of which each must succeed. ioredis's own set-up is not used:
 * it takes a failed SELECT, and some failed AUTHs, for a success, and commands would go to database 0.
 */
export function createSession(redis: Redis, options: SessionOptions): Session {
  const { server } = options;
  const first = Promise.withResolvers<void>();
  first.promise.catch(() => undefined); // The caller of connectRedis gets it.
  let state: ServerState | undefined;
  let connections = 0;
  const connection: ServerConnection = {
    runId: () => state?.runId,
    // Not disconnect(): it waits for the other side, which may lie behind a black hole.
    reconnect: () => void redis.stream?.destroy(),
  };
  server.join(connection);
  setUpEach(redis, options, {
    done(found) {
      state = found;
      connections++;
      options.onReady();
      server.arrived(connection);
      first.resolve();
    },
    ended(error) {
      state = undefined;
      first.reject(error);
    },
  });
  return {
    first: first.promise,
    isReady: () => state !== undefined,
    runId: connection.runId,
    connections: () => connections,
    reconnect: connection.reconnect,
    close() {
      server.leave(connection);
      redis.disconnect();
    },
  };
}

interface SessionListener {
  /** A connection is set up. */
  done(state: ServerState): void;
  /** It has ended, or could not be made or set up. */
  ended(error: RedisUnavailable): void;
}

function setUpEach(redis: Redis, options: SessionOptions, listener: SessionListener): void {
  let lastError: unknown;
  /** What comes of a set-up after its connection has ended is of no connection any more. */
  let attempt = 0;
  // Each command gets its own; without a listener this event would end the process.
  redis.on("error", (error) => {
    lastError = error;
  });
  redis.on("close", () => {
    attempt++;
    listener.ended(toRedisUnavailable(lastError ?? new Error("the connection was closed")));
  });
  redis.on("ready", () => {
    const mine = ++attempt;
    setUp(redis, options).then(
      (state) => {
        if (mine === attempt) listener.done(state);
      },
      (error: unknown) => {
        if (mine !== attempt) return;
        lastError = error;
        redis.stream?.destroy();
      },
    );
  });
}

/** Sent at once, so that a set-up takes one round trip; the first step that failed is the one that counts. */
async function setUp(redis: Redis, { username, password, db }: SessionOptions): Promise<ServerState> {
  const name = username === undefined ? [] : [username];
  const credentials = username === undefined && password === undefined ? [] : [...name, password ?? ""];
  const [authenticated, selected, info] = await Promise.allSettled([
    credentials.length === 0 ? undefined : redis.call("AUTH", ...credentials),
    db === 0 ? undefined : redis.call("SELECT", db),
    redis.call("INFO"),
  ]);
  if (authenticated.status === "rejected") throw authFault(authenticated.reason);
  if (selected.status === "rejected") throw selectFault(selected.reason, db);
  if (info.status === "rejected") throw toRedisUnavailable(info.reason);
  return readServerState(String(info.value));
}

/** Also where Redis has no password at all, which ioredis takes for a success: it may be another Redis than the one that is meant. */
function authFault(reason: unknown): RedisUnavailable {
  const fault = toRedisUnavailable(reason);
  if (!/without any password configured|no password is set/.test(fault.message)) return fault;
  return withRefusal(fault, "REDIS_PASSWORD or REDIS_URL: a password is given, and this Redis has none");
}

function selectFault(reason: unknown, db: number): RedisUnavailable {
  const fault = toRedisUnavailable(reason);
  // A number that is out of range has no code of its own.
  if (fault.rejectedSetting === undefined || fault.code === "NOAUTH") return fault;
  return withRefusal(
    fault,
    `REDIS_DB, or the database in REDIS_URL: database ${db} cannot be selected (${fault.message})`,
  );
}

function withRefusal({ kind, message, code, cause }: RedisUnavailable, refusal: string): RedisUnavailable {
  return new Unavailable(kind, message, {
    cause,
    rejectedSetting: refusal,
    ...(code !== undefined && { code }),
  });
}
