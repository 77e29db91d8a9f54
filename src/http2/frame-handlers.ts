import { isIdle } from "./connection.ts";
import type { Connection } from "./connection-state.ts";
import { adjustSendWindows, extendConnectionWindow, extendStreamWindow } from "./flow-control.ts";
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
import { closeStream, resetWithinBudget } from "./stream.ts";
import { onData } from "./stream-handlers.ts";
import { resumeStream } from "./stream-writer.ts";

/** Returns the error that ends the connection, if there is one. */
type FrameHandler = (connection: Connection, frame: Frame) => ErrorCode | undefined;

/** By frame type (RFC 9113 §6). Frames of an unknown type are ignored (§5.5). */
const FRAME_HANDLERS: readonly FrameHandler[] = [
  onData,
  onHeaders,
  onPriority,
  onRstStream,
  onSettings,
  () => ERROR_CODE.PROTOCOL_ERROR, // PUSH_PROMISE: clients must not push.
  onPing,
  onGoaway,
  onWindowUpdate,
  onContinuation,
];

const NO_BYTES = Buffer.alloc(0);

/** Handles one complete frame, whose payload is at `from` to `to`. Returns the error that ends the connection, if any. */
export function onFrame(
  connection: Connection,
  bytes: Buffer,
  from: number,
  to: number,
): ErrorCode | undefined {
  const head = from - FRAME_HEAD_BYTES;
  const type = bytes[head + 3] ?? 0;
  const streamId = bytes.readUInt32BE(head + 5) & 0x7fff_ffff;
  const { headerBlock, settingsReceived } = connection;
  if (headerBlock !== undefined && (type !== FRAME.CONTINUATION || streamId !== headerBlock.streamId))
    return ERROR_CODE.PROTOCOL_ERROR;
  if (!settingsReceived && type !== FRAME.SETTINGS) return ERROR_CODE.PROTOCOL_ERROR;
  return FRAME_HANDLERS[type]?.(connection, { flags: bytes[head + 4] ?? 0, streamId, bytes, from, to });
}

/** PRIORITY is deprecated (RFC 9113 §5.3.2). Validates the frame and ignores it. */
function onPriority(connection: Connection, { streamId, from, to }: Frame): ErrorCode | undefined {
  if (streamId === 0) return ERROR_CODE.PROTOCOL_ERROR;
  if (to - from === 5) return undefined;
  // An idle stream cannot be reset (RFC 9113 §6.4).
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
    connection.settingsAcknowledged = true;
    return undefined;
  }
  // Each of these frames may adjust the windows of all streams.
  if (!connection.settingsBudget()) return ERROR_CODE.ENHANCE_YOUR_CALM;
  if (!connection.settingsReceived) connection.deps.onEstablished?.(connection.socket);
  connection.settingsReceived = true;
  const before = connection.initialSendWindow;
  for (let at = from; at < to; at += 6) {
    const code = applySetting(connection, bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
    if (code !== undefined) return code;
  }
  return acknowledgeSettings(connection, connection.initialSendWindow - before);
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

function acknowledgeSettings(connection: Connection, windowChangeBytes: number): ErrorCode | undefined {
  const code = adjustSendWindows(connection, windowChangeBytes);
  if (code !== undefined) return code;
  connection.output.frame(FRAME.SETTINGS, FLAG.ACK, 0, NO_BYTES);
  // Only after the acknowledgement, because the client may apply its settings only after it (RFC 9113 §6.5.3).
  if (windowChangeBytes > 0) for (const stream of connection.streams.values()) resumeStream(stream);
  return undefined;
}

function onPing(connection: Connection, { streamId, flags, bytes, from, to }: Frame): ErrorCode | undefined {
  if (streamId !== 0) return ERROR_CODE.PROTOCOL_ERROR;
  if (to - from !== 8) return ERROR_CODE.FRAME_SIZE_ERROR;
  if ((flags & FLAG.ACK) === 0) connection.output.frame(FRAME.PING, FLAG.ACK, 0, bytes.subarray(from, to));
  else onPingAck(connection, bytes.readUInt32BE(from) === 0 ? bytes.readUInt32BE(from + 4) : -1);
  return undefined;
}

/** Ignores the acknowledgement of a PING that is not ours. */
function onPingAck({ pings }: Connection, id: number): void {
  const onAck = pings.get(id);
  pings.delete(id);
  onAck?.();
}

/** The client opens no more streams. Its open streams are served. */
function onGoaway(_connection: Connection, { streamId, from, to }: Frame): ErrorCode | undefined {
  if (streamId !== 0) return ERROR_CODE.PROTOCOL_ERROR;
  return to - from < 8 ? ERROR_CODE.FRAME_SIZE_ERROR : undefined;
}

function onWindowUpdate(connection: Connection, { streamId, bytes, from, to }: Frame): ErrorCode | undefined {
  if (to - from !== 4) return ERROR_CODE.FRAME_SIZE_ERROR;
  const increment = bytes.readUInt32BE(from) & 0x7fff_ffff;
  if (streamId === 0)
    return increment === 0 ? ERROR_CODE.PROTOCOL_ERROR : extendConnectionWindow(connection, increment);
  if (isIdle(connection, streamId)) return ERROR_CODE.PROTOCOL_ERROR;
  const stream = connection.streams.get(streamId);
  if (stream === undefined) return undefined;
  const code = increment === 0 ? ERROR_CODE.PROTOCOL_ERROR : extendStreamWindow(stream, increment);
  if (code !== undefined) return resetWithinBudget(connection, streamId, code);
  resumeStream(stream);
  return undefined;
}
