import type { Socket } from "node:net";
import { createBudget } from "../core/limits/budget.ts";
import type { Connection, ConnectionDeps, Load } from "./connection-state.ts";
import { CONNECTION_WINDOW_BYTES } from "./flow-control.ts";
import type { ErrorCode } from "./frames.ts";
import { ERROR_CODE, encodeUint32s, FRAME, INITIAL_WINDOW_BYTES, MAX_STREAM_ID } from "./frames.ts";
import { createHpackDecoder } from "./hpack.ts";
import { createOutput } from "./output.ts";
import { addField, createHeaderValidator } from "./request-head.ts";

/**
 * Budget for resets of streams that broke a rule (CVE-2025-8671). Envoy breaks none. Resets by a **client** have no budget:
 * Envoy resets a request whose own client has disconnected, and ending the connection would end the requests of all other
 * clients. The handler must limit the work that such a reset leaves behind (CVE-2023-44487).
 */
const RESETS = { capacity: 2000, refillPerSecond: 200 };
/** CVE-2019-9515. */
const SETTINGS = { capacity: 100, refillPerSecond: 10 };

export function createConnection(socket: Socket, deps: ConnectionDeps, load: Load): Connection {
  const validator = createHeaderValidator(deps.maxHeaderBytes, deps.singleFields);
  const openedMs = deps.nowMs();
  const connection: Connection = {
    deps,
    load,
    socket,
    output: createOutput(socket, (unsentBytes) => load.unsent.set(connection, unsentBytes)),
    hpack: createHpackDecoder(),
    validator,
    onField: (name, value, valueBytes) => addField(validator, name, value, valueBytes),
    streams: new Map(),
    resetIds: new Set(),
    resetBudget: createBudget(RESETS, deps.nowMs),
    settingsBudget: createBudget(SETTINGS, deps.nowMs),
    openedMs,
    lastRequestMs: openedMs,
    highestOpenedStreamId: 0,
    lastProcessedStreamId: 0,
    headerBlock: undefined,
    sendWindow: INITIAL_WINDOW_BYTES,
    receiveWindow: CONNECTION_WINDOW_BYTES,
    initialSendWindow: INITIAL_WINDOW_BYTES,
    blockedStreams: new Set(),
    bufferedBytes: 0,
    pendingBytes: 0,
    tableSizeUpdatePending: false,
    settingsReceived: false,
    settingsAcknowledged: false,
    isDraining: false,
    isClosed: false,
    pings: new Map(),
    nextPing: 0,
  };
  return connection;
}

/** Whether the client has not opened this stream. Even ids belong to the server, which opens no streams (RFC 9113 §5.1.1). */
export function isIdle({ highestOpenedStreamId }: Connection, streamId: number): boolean {
  return streamId > highestOpenedStreamId || (streamId & 1) === 0;
}

/** Sends a PING with a unique payload. Calls `onPingAck` when it is acknowledged, or when the connection is closed. */
export function ping(connection: Connection, onPingAck: () => void): void {
  const id = connection.nextPing++;
  connection.pings.set(id, onPingAck);
  connection.output.frame(FRAME.PING, 0, 0, encodeUint32s(0, id));
  connection.output.flush();
}

/** Asks the client to open no more streams. Streams that are under way are still served (RFC 9113 §6.8). */
export function announceShutdown(connection: Connection): void {
  sendGoaway(connection, MAX_STREAM_ID, ERROR_CODE.NO_ERROR);
}

/** Accepts no new streams, and closes the connection with its last stream. */
export function drainConnection(connection: Connection): void {
  if (connection.isClosed) return;
  connection.isDraining = true;
  sendGoaway(connection, connection.lastProcessedStreamId, ERROR_CODE.NO_ERROR);
  closeIfDrained(connection);
}

export function closeIfDrained(connection: Connection): void {
  if (connection.isDraining && connection.streams.size === 0) close(connection);
}

/** Ends a connection after a connection error (RFC 9113 §5.4.1). */
export function failConnection(connection: Connection, code: ErrorCode): void {
  if (connection.isClosed) return;
  sendGoaway(connection, connection.lastProcessedStreamId, code);
  close(connection);
}

/** Closes the socket after everything that was written has been sent. */
function close(connection: Connection): void {
  connection.isClosed = true;
  connection.output.flush();
  connection.socket.destroySoon();
}

function sendGoaway({ output }: Connection, lastStreamId: number, code: ErrorCode): void {
  output.frame(FRAME.GOAWAY, 0, 0, encodeUint32s(lastStreamId, code));
  output.flush();
}
