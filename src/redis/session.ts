import type { Redis } from "ioredis";
import { withTimeout } from "../core/timeout.ts";
import type { ConnectedServer, OneServer, ServerConnection } from "./one-server.ts";
import { RedisUnavailable, timedOut, toRedisUnavailable } from "./redis-error.ts";
import type { ServerState } from "./server-state.ts";
import { readServerState } from "./server-state.ts";

/** The credentials and the database. */
export interface SessionOptions {
  readonly username?: string;
  readonly password?: string;
  readonly db: number;
  readonly server: OneServer;
  /** A connection whose set-up takes longer is ended. */
  readonly setUpTimeoutMs: () => number;
  /** Where the current connection leads. */
  readonly place: () => Pick<ConnectedServer, "topology" | "address">;
  /** Called each time a connection is set up. */
  readonly onReady: () => void;
}

/** The state of the connection that ioredis makes, and makes again after a failure. */
export interface Session {
  /** Resolves once a connection is set up. Rejects with the fault of the first connection. */
  readonly first: Promise<void>;
  /** Whether the current connection is set up. No command may be sent before. */
  isReady(): boolean;
  /** The run id of the server process; undefined while the connection is not set up. */
  runId(): string | undefined;
  /** The number of connections set up so far. */
  connections(): number;
  reconnect(): void;
  close(): void;
}

/**
 * Sets up every connection with AUTH, SELECT and INFO, each of which must succeed. The set-up of ioredis is not used, because
 * it ignores a failed SELECT and some failed AUTHs. Commands would then go to database 0.
 */
export function createSession(redis: Redis, options: SessionOptions): Session {
  const { server } = options;
  const first = Promise.withResolvers<void>();
  first.promise.catch(() => undefined); // connectRedis awaits the promise and reports its error.
  let state: ConnectedServer | undefined;
  let connections = 0;
  const connection: ServerConnection = {
    current: () => state,
    // disconnect() would wait for the server, which may be unreachable.
    reconnect: () => void redis.stream?.destroy(),
  };
  server.join(connection);
  setUpEach(redis, options, {
    onSetUp(found) {
      state = { ...found, ...options.place() };
      connections++;
      options.onReady();
      server.arrived(connection);
      first.resolve();
    },
    onEnd(error) {
      state = undefined;
      first.reject(error);
    },
  });
  return {
    first: first.promise,
    isReady: () => state !== undefined,
    runId: () => state?.runId,
    connections: () => connections,
    reconnect: connection.reconnect,
    close() {
      server.leave(connection);
      redis.disconnect();
    },
  };
}

interface SessionListener {
  onSetUp(state: ServerState): void;
  /** The connection has ended, or could not be made or set up. */
  onEnd(error: RedisUnavailable): void;
}

function setUpEach(redis: Redis, options: SessionOptions, listener: SessionListener): void {
  let lastError: unknown;
  /** Identifies the current set-up, so that the result of an earlier connection is ignored. */
  let attempt = 0;
  // Each command reports its own error. Without a listener this event would end the process.
  redis.on("error", (error) => {
    lastError = error;
  });
  redis.on("close", () => {
    attempt++;
    listener.onEnd(toRedisUnavailable(lastError ?? new Error("the connection was closed")));
  });
  redis.on("ready", () => {
    const mine = ++attempt;
    withTimeout(setUp(redis, options), options.setUpTimeoutMs(), failLate).then(
      (state) => {
        if (mine === attempt) listener.onSetUp(state);
      },
      (error: unknown) => {
        if (mine !== attempt) return;
        lastError = error;
        redis.stream?.destroy();
      },
    );
  });
}

function failLate(): never {
  throw timedOut();
}

/** Sends all steps at once, so that the set-up takes one round trip. Throws the fault of the first failed step. */
async function setUp(redis: Redis, { username, password, db, place }: SessionOptions): Promise<ServerState> {
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
  return readServerState(String(info.value), place().topology);
}

/** A Redis without a password is a fault too, because it may not be the intended Redis. ioredis ignores this error. */
function authFault(reason: unknown): RedisUnavailable {
  const fault = toRedisUnavailable(reason);
  if (!/without any password configured|no password is set/.test(fault.message)) return fault;
  return withRejectedSetting(
    fault,
    "REDIS_PASSWORD or REDIS_URL: a password is given, and this Redis has none",
  );
}

function selectFault(reason: unknown, db: number): RedisUnavailable {
  const fault = toRedisUnavailable(reason);
  // Redis has no error code for a database number that is out of range.
  if (fault.rejectedSetting === undefined || fault.code === "NOAUTH") return fault;
  return withRejectedSetting(
    fault,
    `REDIS_DB, or the database in REDIS_URL: database ${db} cannot be selected (${fault.message})`,
  );
}

function withRejectedSetting(
  { kind, message, code, cause }: RedisUnavailable,
  rejectedSetting: string,
): RedisUnavailable {
  return new RedisUnavailable(kind, message, {
    cause,
    rejectedSetting,
    ...(code !== undefined && { code }),
  });
}
