import type { Connection } from "./connection.ts";
import { isIdle } from "./connection.ts";
import type { ErrorCode, Frame } from "./frames.ts";
import {
  ERROR_CODE,
  FLAG,
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_FRAME_BYTES,
  MAX_WINDOW_BYTES,
  SETTING,
} from "./frames.ts";
import { onContinuation, onHeaders } from "./header-block-handlers.ts";
import { closeStream, resumeStream } from "./stream.ts";
import { onData, resetWithinBudget } from "./stream-handlers.ts";

type FrameHandler = (connection: Connection, frame: Frame) => ErrorCode | undefined;

/** By type (RFC 9113 §6); of others nothing is known, and they are passed over. */
const FRAME_HANDLERS: readonly FrameHandler[] = [
  onData,
  onHeaders,
  onPriority,
  onRstStream,
  onSettings,
  () => ERROR_CODE.PROTOCOL_ERROR, // PUSH_PROMISE: callers push nothing.
  onPing,
  onGoaway,
  onWindowUpdate,
  onContinuation,
];

const NOTHING = Buffer.alloc(0);

/** Takes in one whole frame, whose payload stands at that place. Gives why the connection cannot go on, if it cannot. */
export function onFrame(
  connection: Connection,
  bytes: Buffer,
  from: number,
  to: number,
): ErrorCode | undefined {
  const head = from - FRAME_HEAD_BYTES;
  const type = bytes[head + 3] ?? 0;
  const streamId = bytes.readUInt32BE(head + 5) & 0x7fff_ffff;
  const { block, settingsReceived: isGreeted } = connection;
  if (block !== undefined && (type !== FRAME.CONTINUATION || streamId !== block.streamId))
    return ERROR_CODE.PROTOCOL_ERROR;
  if (!isGreeted && type !== FRAME.SETTINGS) return ERROR_CODE.PROTOCOL_ERROR;
  return FRAME_HANDLERS[type]?.(connection, { flags: bytes[head + 4] ?? 0, streamId, bytes, from, to });
}

/** Which nobody heeds any more (RFC 9113 §5.3.2). */
function onPriority(connection: Connection, { streamId, from, to }: Frame): ErrorCode | undefined {
  if (streamId === 0) return ERROR_CODE.PROTOCOL_ERROR;
  if (to - from === 5) return undefined;
  // What is idle cannot be reset (RFC 9113 §6.4).
  if (isIdle(connection, streamId)) return ERROR_CODE.FRAME_SIZE_ERROR;
  if (connection.resetIds.has(streamId)) return undefined;
  return resetWithinBudget(connection, streamId, ERROR_CODE.FRAME_SIZE_ERROR);
}

function onRstStream(connection: Connection, { streamId, from, to }: Frame): ErrorCode | undefined {
  if (to - from !== 4) return ERROR_CODE.FRAME_SIZE_ERROR;
  if (isIdle(connection, streamId)) return ERROR_CODE.PROTOCOL_ERROR;
  const stream = connection.streams.get(streamId);
  if (stream !== undefined) closeStream(stream);
  return undefined;
}

function onSettings(
  connection: Connection,
  { streamId, flags, bytes, from, to }: Frame,
): ErrorCode | undefined {
  const isAck = (flags & FLAG.ACK) !== 0;
  if (streamId !== 0) return ERROR_CODE.PROTOCOL_ERROR;
  if ((to - from) % 6 !== 0 || (isAck && to !== from)) return ERROR_CODE.FRAME_SIZE_ERROR;
  if (isAck) {
    connection.hasAgreed = true;
    return undefined;
  }
  // Each may move the windows of all calls.
  if (!connection.settingsBudget()) return ERROR_CODE.ENHANCE_YOUR_CALM;
  if (!connection.settingsReceived) connection.ports.greeted?.(connection.socket);
  connection.settingsReceived = true;
  const { initialSendWindow: firstSendWindow } = connection;
  for (let at = from; at < to; at += 6) {
    const why = applySetting(connection, bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
    if (why !== undefined) return why;
  }
  return adjustSendWindows(connection, connection.initialSendWindow - firstSendWindow);
}

function applySetting(connection: Connection, setting: number, value: number): ErrorCode | undefined {
  switch (setting) {
    case SETTING.HEADER_TABLE_SIZE:
      connection.tableSizeUpdatePending = true;
      return undefined;
    case SETTING.ENABLE_PUSH:
      return value > 1 ? ERROR_CODE.PROTOCOL_ERROR : undefined;
    case SETTING.MAX_FRAME_SIZE:
      return value < MAX_FRAME_BYTES || value >= 2 ** 24 ? ERROR_CODE.PROTOCOL_ERROR : undefined;
    case SETTING.INITIAL_WINDOW_SIZE:
      if (value > MAX_WINDOW_BYTES) return ERROR_CODE.FLOW_CONTROL_ERROR;
      connection.initialSendWindow = value;
      return undefined;
    default:
      return undefined;
  }
}

/** The windows of calls that are open move as the first one does, even below zero (RFC 9113 §6.9.2). */
function adjustSendWindows({ streams, output }: Connection, more: number): ErrorCode | undefined {
  if (more !== 0) for (const stream of streams.values()) stream.sendWindow += more;
  for (const stream of more > 0 ? streams.values() : [])
    if (stream.sendWindow > MAX_WINDOW_BYTES) return ERROR_CODE.FLOW_CONTROL_ERROR;
  output.frame(FRAME.SETTINGS, FLAG.ACK, 0, NOTHING);
  // Not before that: the other side may hold to its settings only from there on (RFC 9113 §6.5.3).
  if (more > 0) for (const stream of streams.values()) resumeStream(stream);
  return undefined;
}

/** Once for all that came together: a caller that gives room byte by byte does not have all calls looked at each time. */
export function flushBlocked(connection: Connection): void {
  if (!connection.hasNewRoom || connection.isOver) return;
  connection.hasNewRoom = false;
  for (const stream of connection.streams.values()) {
    if (connection.sendWindow <= 0) break;
    resumeStream(stream);
  }
}

function onPing(connection: Connection, { streamId, flags, bytes, from, to }: Frame): ErrorCode | undefined {
  if (streamId !== 0) return ERROR_CODE.PROTOCOL_ERROR;
  if (to - from !== 8) return ERROR_CODE.FRAME_SIZE_ERROR;
  if ((flags & FLAG.ACK) === 0) connection.output.frame(FRAME.PING, FLAG.ACK, 0, bytes.subarray(from, to));
  else onPingAck(connection, bytes.readUInt32BE(from) === 0 ? bytes.readUInt32BE(from + 4) : -1);
  return undefined;
}

/** An acknowledgement of another PING than ours says nothing. */
function onPingAck({ pings }: Connection, id: number): void {
  const answered = pings.get(id);
  pings.delete(id);
  answered?.();
}

/** Its caller opens no more calls; those that are open are answered. */
function onGoaway(_connection: Connection, { streamId, from, to }: Frame): ErrorCode | undefined {
  if (streamId !== 0) return ERROR_CODE.PROTOCOL_ERROR;
  return to - from < 8 ? ERROR_CODE.FRAME_SIZE_ERROR : undefined;
}

function onWindowUpdate(connection: Connection, { streamId, bytes, from, to }: Frame): ErrorCode | undefined {
  if (to - from !== 4) return ERROR_CODE.FRAME_SIZE_ERROR;
  const more = bytes.readUInt32BE(from) & 0x7fff_ffff;
  if (streamId === 0 ? more === 0 : isIdle(connection, streamId)) return ERROR_CODE.PROTOCOL_ERROR;
  if (streamId === 0) {
    if (connection.sendWindow + more > MAX_WINDOW_BYTES) return ERROR_CODE.FLOW_CONTROL_ERROR;
    if (connection.sendWindow <= 0) connection.hasNewRoom = true;
    connection.sendWindow += more;
    return undefined;
  }
  const stream = connection.streams.get(streamId);
  if (stream === undefined) return undefined;
  if (more === 0) return resetWithinBudget(connection, streamId, ERROR_CODE.PROTOCOL_ERROR);
  if (stream.sendWindow + more > MAX_WINDOW_BYTES)
    return resetWithinBudget(connection, streamId, ERROR_CODE.FLOW_CONTROL_ERROR);
  stream.sendWindow += more;
  resumeStream(stream);
  return undefined;
}
