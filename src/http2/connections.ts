import type { Socket } from "node:net";
import { announceShutdown, drainConnection, ping } from "./connection.ts";
import type { Connection, ConnectionDeps } from "./connection-state.ts";
import { ERROR_CODE } from "./frames.ts";
import { createLoad, maxBy } from "./load.ts";
import { serveConnection } from "./serve-connection.ts";
import { sendReset } from "./stream.ts";

/** A connection that has not acknowledged a PING after this time is closed. */
const PING_EVERY_MS = 30_000;
/** A connection that has not sent its SETTINGS after this time is closed. */
const SETTINGS_TIMEOUT_MS = 5000;
const SWEEP_EVERY_MS = 1000;
/** At the maximum number of connections, one without SETTINGS after this time is closed in favour of a new connection. */
const EVICT_SILENT_AFTER_MS = 100;
/** The same for a connection without a request for this time. */
const EVICT_IDLE_AFTER_MS = 60_000;
/** How long a GOAWAY notice may take to reach the client, if its round trip takes longer. */
const GOAWAY_NOTICE_TIMEOUT_MS = 100;

/** The connections of a server. */
export interface Connections {
  add(socket: Socket): void;
  /**
   * Closes one connection in favour of a new one: the connection that has been without SETTINGS for the longest time, or else the
   * one without a request for the longest time, if that is at least a minute.
   */
  evictOne(): void;
  /** Sends GOAWAY notices, and still serves the streams that are under way. Resolves when the clients have received them. */
  announceShutdown(): Promise<void>;
  /** Accepts no new streams. Each connection closes with its last stream, also one that is opened later. */
  drain(): void;
  /** Stops the timers. */
  close(): void;
}

export function createConnections(deps: ConnectionDeps): Connections {
  /** Connections that have not acknowledged the last PING. A connection that closes leaves them, as `ping` says. */
  const unacknowledged = new Set<Connection>();
  const open = new Set<Connection>();
  const load = createLoad(open);
  let isDraining = false;
  const pingAll = () => {
    for (const { socket } of unacknowledged) socket.destroy();
    for (const connection of open) {
      unacknowledged.add(connection);
      ping(connection, () => unacknowledged.delete(connection));
    }
  };
  const pings = setIntervalAfterReads(pingAll, PING_EVERY_MS);
  const sweep = setIntervalAfterReads(() => closeOverdue(open, deps.nowMs()), SWEEP_EVERY_MS);
  pings.unref();
  sweep.unref();
  return {
    add(socket) {
      deps.onOpened?.(socket);
      const connection = serveConnection(socket, deps, load);
      open.add(connection);
      socket.on("close", () => open.delete(connection));
      if (isDraining) drainConnection(connection);
    },
    evictOne: () => evictOne(open, deps.nowMs()),
    async announceShutdown() {
      clearInterval(pings);
      await Promise.all(Array.from(open, notifyShutdown));
    },
    drain() {
      isDraining = true;
      for (const connection of open) drainConnection(connection);
    },
    close() {
      clearInterval(pings);
      clearInterval(sweep);
    },
  };
}

/** Reads first, because due timers run before reads: this process may have been stopped until now. */
function setIntervalAfterReads(onDue: () => void, everyMs: number): NodeJS.Timeout {
  return setInterval(() => setImmediate(onDue), everyMs);
}

/** Ends connections without SETTINGS, and resets streams whose deadline has passed. */
export function closeOverdue(open: Iterable<Connection>, nowMs: number): void {
  for (const { streams, settingsReceived, openedMs, socket } of open) {
    if (!settingsReceived && nowMs - openedMs > SETTINGS_TIMEOUT_MS) socket.destroy();
    for (const stream of streams.values())
      if (stream.deadlineMs <= nowMs) sendReset(stream, ERROR_CODE.CANCEL);
  }
}

function evictOne(open: Iterable<Connection>, nowMs: number): void {
  const evicted =
    maxBy(open, ({ settingsReceived, isClosed, openedMs }) =>
      settingsReceived || isClosed ? 0 : nowMs - openedMs - EVICT_SILENT_AFTER_MS,
    ) ??
    maxBy(open, ({ isClosed, lastRequestMs }) =>
      isClosed ? 0 : nowMs - lastRequestMs - EVICT_IDLE_AFTER_MS,
    );
  if (evicted === undefined) return;
  drainConnection(evicted);
  evicted.isClosed = true;
  evicted.socket.destroySoon();
}

/** Resolves after one round trip behind the GOAWAY, which shows that the client has received it. */
function notifyShutdown(connection: Connection): Promise<void> {
  announceShutdown(connection);
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, GOAWAY_NOTICE_TIMEOUT_MS);
  ping(connection, () => {
    clearTimeout(timer);
    resolve();
  });
  return promise;
}
