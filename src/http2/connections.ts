import type { Socket } from "node:net";
import type { Connection, ConnectionPorts } from "./connection.ts";
import { announceShutdown, drainConnection, ping } from "./connection.ts";
import { ERROR_CODE } from "./frames.ts";
import { createLoad, maxBy } from "./load.ts";
import { serveConnection } from "./serve-connection.ts";
import { sendReset } from "./stream.ts";

/** A connection that answers no ping for so long is dead. */
const PING_EVERY_MS = 30_000;
/** One that says nothing of HTTP/2 for so long never will. */
const SETTINGS_TIMEOUT_MS = 5000;
const SWEEP_EVERY_MS = 1000;
/** One that says nothing for so long makes way for a new one, where there is no place left. */
const GREETED_SOON_MS = 100;
/** So does one that has had no call for so long. */
const IDLE_MS = 60_000;
/** Callers hear that the door closes before it does: a round trip, or this when one is slow. */
const GOAWAY_NOTICE_TIMEOUT_MS = 100;

/** The connections of a server. */
export interface Connections {
  add(socket: Socket): void;
  /**
   * Ends one connection, so that another one can be opened: the one that has been silent for longest, or else the one that
   * has had no call for longest, if that is a minute.
   */
  makeWay(): void;
  /** Tells callers to go elsewhere, while calls that are on their way are still served; resolves when they have heard it. */
  announceEnd(): Promise<void>;
  /** Takes no new call; each connection closes with its last one, also one that is opened after this. */
  end(): void;
  /** Ends what it does by the clock. */
  close(): void;
}

export function createConnections(ports: ConnectionPorts): Connections {
  /** Those that have not answered the last ping. */
  const silent = new Set<Connection>();
  const open = new Set<Connection>();
  const load = createLoad(open);
  let isEnding = false;
  const pings = setInterval(() => {
    for (const connection of silent) connection.socket.destroy();
    silent.clear();
    for (const connection of open) {
      silent.add(connection);
      ping(connection, () => silent.delete(connection));
    }
  }, PING_EVERY_MS);
  const sweep = setInterval(() => cutOffLate(open, ports.nowMs()), SWEEP_EVERY_MS);
  pings.unref();
  sweep.unref();
  return {
    add(socket) {
      const connection = serveConnection(socket, ports, load);
      open.add(connection);
      socket.on("close", () => {
        open.delete(connection);
        silent.delete(connection);
      });
      if (isEnding) drainConnection(connection);
    },
    makeWay: () => makeWay(open, ports.nowMs()),
    async announceEnd() {
      clearInterval(pings);
      await Promise.all(
        [...open].map((connection) => {
          announceShutdown(connection);
          return roundTrip(connection);
        }),
      );
    },
    end() {
      isEnding = true;
      for (const connection of open) drainConnection(connection);
    },
    close() {
      clearInterval(pings);
      clearInterval(sweep);
    },
  };
}

function cutOffLate(open: Iterable<Connection>, nowMs: number): void {
  for (const { streams, settingsReceived: isGreeted, openedMs, socket } of open) {
    if (!isGreeted && nowMs - openedMs > SETTINGS_TIMEOUT_MS) socket.destroy();
    for (const stream of streams.values())
      if (stream.deadlineMs <= nowMs) sendReset(stream, ERROR_CODE.CANCEL);
  }
}

function makeWay(open: Iterable<Connection>, nowMs: number): void {
  const leaving =
    maxBy(open, ({ settingsReceived: isGreeted, isOver, openedMs }) =>
      isGreeted || isOver ? 0 : nowMs - openedMs - GREETED_SOON_MS,
    ) ?? maxBy(open, ({ isOver, lastCallMs }) => (isOver ? 0 : nowMs - lastCallMs - IDLE_MS));
  if (leaving === undefined) return;
  drainConnection(leaving);
  leaving.isOver = true;
  leaving.socket.destroySoon();
}

function roundTrip(connection: Connection): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const late = setTimeout(resolve, GOAWAY_NOTICE_TIMEOUT_MS);
  ping(connection, () => {
    clearTimeout(late);
    resolve();
  });
  return promise;
}
