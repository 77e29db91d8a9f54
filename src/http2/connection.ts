import type { Socket } from "node:net";
import { createBudget } from "../core/limits/budget.ts";
import type { ErrorCode } from "./frames.ts";
import { ERROR_CODE, encodeUint32s, FRAME, INITIAL_WINDOW_BYTES, MAX_STREAM_ID } from "./frames.ts";
import type { HpackDecoder, OnField } from "./hpack.ts";
import { createHpackDecoder } from "./hpack.ts";
import type { Output } from "./output.ts";
import { createOutput } from "./output.ts";
import type { HeaderValidator, RequestHead } from "./request-head.ts";
import { addField, createHeadReading } from "./request-head.ts";
import type { SharedBytes } from "./shared-bytes.ts";
import type { Stream } from "./stream.ts";

export interface ConnectionPorts {
  readonly nowMs: () => number;
  /** A call has come: says who takes its body, or answers at once. */
  readonly onRequest: (stream: Stream, head: RequestHead) => void;
  /** Whether `called` also gets this call, whose head has a fault. Any other one is reset. */
  readonly answersFault: (head: RequestHead) => boolean;
  /** Calls that may be open at a time. */
  readonly maxStreams: number;
  /** Of a header block, counted as RFC 9113 §6.5.2 says. A larger one is a fault of its call alone. */
  readonly maxHeaderBytes: number;
  /** Hears that the first frame of a connection has come. */
  readonly greeted?: (socket: Socket) => void;
  /** Hears of a fault of ours, by which the connection has ended. */
  readonly onFault: (error: unknown) => void;
}

/** What the callers of all connections together make this process keep: each has its bound here, too. */
export interface Load {
  /** Bodies of calls that have not come whole. */
  readonly held: SharedBytes<Stream>;
  /** DATA for which their callers have opened no window. */
  readonly waiting: SharedBytes<Stream>;
  /** What the sockets of callers that do not read have not taken. */
  readonly unsent: SharedBytes<Connection>;
  /** Calls whose callers have not sent all of them. */
  unasked: number;
  /** Ends the connection that has most of these calls. */
  readonly onTooManyUnasked: () => void;
}

/** At most so many of all connections together: the calls of sixteen full ones. */
export const MAX_UNASKED_CALLS = 16 * 1024;

/** One connection of HTTP/2 as its server sees it: the record that its parts work on. */
export interface Connection {
  readonly ports: ConnectionPorts;
  readonly load: Load;
  readonly socket: Socket;
  readonly output: Output;
  readonly hpack: HpackDecoder;
  readonly reading: HeaderValidator;
  /** Takes the next field of a header block. */
  readonly field: OnField;
  /** Calls that are not over. */
  readonly streams: Map<number, Stream>;
  /** The latest calls that we reset: frames of them that were on their way are discarded (RFC 9113 §5.1). */
  readonly resetIds: Set<number>;
  /** Whether we may reset one more call that broke a rule: else the connection has to end. */
  readonly resetBudget: () => boolean;
  /** The same of SETTINGS. */
  readonly settingsBudget: () => boolean;
  readonly openedMs: number;
  /** When its latest call began. */
  lastCallMs: number;
  /** The highest that its caller has opened. */
  highestOpenedStreamId: number;
  /** The highest of them that was taken: what GOAWAY tells, and must never tell a higher one than before (RFC 9113 §6.8). */
  lastProcessedStreamId: number;
  /** A header block that goes on in the next frame: nothing else may come before that (RFC 9113 §6.10). */
  block: OpenBlock | undefined;
  sendWindow: number;
  /** Bytes of calls that have not come whole, where their receivers keep them. */
  bufferedBytes: number;
  /** Bytes of answers for which there is no room yet. */
  pendingBytes: number;
  /** That window was shut and is open again: calls may wait for it. */
  hasNewRoom: boolean;
  receiveWindow: number;
  /** What each new call begins with. */
  initialSendWindow: number;
  tableSizeUpdatePending: boolean;
  /** Its first frame has come, which is SETTINGS. */
  settingsReceived: boolean;
  /** It has acknowledged our SETTINGS. */
  hasAgreed: boolean;
  /** Takes no new calls, and closes with its last one. */
  isDraining: boolean;
  isOver: boolean;
  /** What waits for the acknowledgements of our PINGs, by their payloads. */
  readonly pings: Map<number, () => void>;
  nextPing: number;
}

export interface OpenBlock {
  readonly streamId: number;
  readonly isEndStream: boolean;
  bytes: number;
  frames: number;
}

/**
 * Calls that we reset because they broke a rule (CVE-2025-8671). Envoy breaks none. Resets that a **caller** sends have no
 * budget: Envoy resets a Check whose client has gone, as often as clients go, and other clients' Checks would end with the
 * connection. What such a reset leaves behind is a Check that waits for the store: those are counted (`MAX_PENDING_CHECKS`),
 * so that resets open no more of them than there may be (CVE-2023-44487).
 */
const RESETS = { capacity: 2000, refillPerSecond: 200 };
/** CVE-2019-9515. */
const SETTINGS = { capacity: 100, refillPerSecond: 10 };

/** Room for the bodies of all calls together; each call has RFC 9113's 65,535 bytes at a time. */
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

export function createConnection(socket: Socket, ports: ConnectionPorts, load: Load): Connection {
  const reading = createHeadReading(ports.maxHeaderBytes);
  const openedMs = ports.nowMs();
  const connection: Connection = {
    ports,
    load,
    socket,
    output: createOutput(socket, (bytes) => load.unsent.set(connection, bytes)),
    hpack: createHpackDecoder(),
    reading,
    field: (name, value, valueBytes) => addField(reading, name, value, valueBytes),
    streams: new Map(),
    resetIds: new Set(),
    resetBudget: createBudget(RESETS, ports.nowMs),
    settingsBudget: createBudget(SETTINGS, ports.nowMs),
    openedMs,
    lastCallMs: openedMs,
    highestOpenedStreamId: 0,
    lastProcessedStreamId: 0,
    block: undefined,
    sendWindow: INITIAL_WINDOW_BYTES,
    bufferedBytes: 0,
    pendingBytes: 0,
    hasNewRoom: false,
    receiveWindow: CONNECTION_WINDOW_BYTES,
    initialSendWindow: INITIAL_WINDOW_BYTES,
    tableSizeUpdatePending: false,
    settingsReceived: false,
    hasAgreed: false,
    isDraining: false,
    isOver: false,
    pings: new Map(),
    nextPing: 0,
  };
  return connection;
}

/** Whether there has been no such call yet: those with even numbers would be the server's (RFC 9113 §5.1.1). */
export function isIdle({ highestOpenedStreamId }: Connection, streamId: number): boolean {
  return streamId > highestOpenedStreamId || (streamId & 1) === 0;
}

/** Sends a PING with a payload of its own. Calls back when it is acknowledged, or the connection is over. */
export function ping(connection: Connection, answered: () => void): void {
  const id = connection.nextPing++;
  connection.pings.set(id, answered);
  connection.output.frame(FRAME.PING, 0, 0, encodeUint32s(0, id));
  connection.output.flush();
}

/** Tells its caller to go elsewhere; what is on its way is still served (RFC 9113 §6.8). */
export function announceShutdown(connection: Connection): void {
  sendGoaway(connection, MAX_STREAM_ID, ERROR_CODE.NO_ERROR);
}

/** Takes no new calls, and closes with its last one. */
export function drainConnection(connection: Connection): void {
  if (connection.isOver) return;
  connection.isDraining = true;
  sendGoaway(connection, connection.lastProcessedStreamId, ERROR_CODE.NO_ERROR);
  closeIfDrained(connection);
}

export function closeIfDrained(connection: Connection): void {
  if (connection.isDraining && connection.streams.size === 0) close(connection);
}

/** Ends a connection that cannot go on (RFC 9113 §5.4.1). */
export function fail(connection: Connection, why: ErrorCode): void {
  if (connection.isOver) return;
  sendGoaway(connection, connection.lastProcessedStreamId, why);
  close(connection);
}

/** Once all that is written is sent. */
function close(connection: Connection): void {
  connection.isOver = true;
  connection.output.flush();
  connection.socket.destroySoon();
}

function sendGoaway({ output }: Connection, highestOpenedStreamId: number, why: ErrorCode): void {
  output.frame(FRAME.GOAWAY, 0, 0, encodeUint32s(highestOpenedStreamId, why));
  output.flush();
}
