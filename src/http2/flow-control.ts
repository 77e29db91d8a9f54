import type { Connection, Stream } from "./connection-state.ts";
import type { ErrorCode } from "./frames.ts";
import {
  ERROR_CODE,
  encodeUint32s,
  FRAME,
  INITIAL_WINDOW_BYTES,
  MAX_FRAME_BYTES,
  MAX_WINDOW_BYTES,
} from "./frames.ts";

/** Receive window of a connection, for the bodies of all its streams. Each stream also has its own of 65,535 bytes. */
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

/**
 * Counts received DATA against the window of its connection, and replenishes that window once half of it is used. The window
 * is thus never exhausted, and no client can exceed it.
 */
export function consumeConnectionWindow(connection: Connection, bytes: number): void {
  connection.receiveWindow -= bytes;
  const usedBytes = CONNECTION_WINDOW_BYTES - connection.receiveWindow;
  if (usedBytes < CONNECTION_WINDOW_BYTES / 2) return;
  connection.output.frame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(usedBytes));
  connection.receiveWindow = CONNECTION_WINDOW_BYTES;
}

/** Counts received DATA against the window of its stream. False: the client has exceeded that window. */
export function consumeStreamWindow(stream: Stream, bytes: number): boolean {
  if (bytes > stream.receiveWindow) return false;
  stream.receiveWindow -= bytes;
  return true;
}

/**
 * Replenishes the receive window of a stream once half of it is used. Does nothing while the handler is paused, if the body
 * has no receiver, or after the end of the request. A request that was answered early because it is invalid keeps its
 * window: some clients read no response before they have sent everything.
 */
export function replenishWindow(stream: Stream): void {
  const usedBytes = INITIAL_WINDOW_BYTES - stream.receiveWindow;
  const isReceived = stream.onBody !== undefined || stream.handlesInvalid;
  const isEnded = stream.state === "closed" || stream.state === "half-closed (remote)";
  if (isEnded || !isReceived || stream.isPaused || usedBytes < INITIAL_WINDOW_BYTES / 2) return;
  const { output } = stream.connection;
  output.frame(FRAME.WINDOW_UPDATE, 0, stream.id, encodeUint32s(usedBytes));
  output.flushSoon();
  stream.receiveWindow = INITIAL_WINDOW_BYTES;
}

/** Bytes of DATA that both send windows and one frame permit; zero or less if the client must first open a window. */
export function sendableBytes({ connection, sendWindow }: Stream): number {
  return Math.min(connection.sendWindow, sendWindow, MAX_FRAME_BYTES);
}

export function consumeSendWindow(stream: Stream, bytes: number): void {
  stream.connection.sendWindow -= bytes;
  stream.sendWindow -= bytes;
}

/** Applies a WINDOW_UPDATE for the whole connection (RFC 9113 §6.9.1). */
export function extendConnectionWindow(connection: Connection, bytes: number): ErrorCode | undefined {
  if (connection.sendWindow + bytes > MAX_WINDOW_BYTES) return ERROR_CODE.FLOW_CONTROL_ERROR;
  connection.sendWindow += bytes;
  return undefined;
}

/** Applies a WINDOW_UPDATE for one stream (RFC 9113 §6.9.1). */
export function extendStreamWindow(stream: Stream, bytes: number): ErrorCode | undefined {
  if (stream.sendWindow + bytes > MAX_WINDOW_BYTES) return ERROR_CODE.FLOW_CONTROL_ERROR;
  stream.sendWindow += bytes;
  return undefined;
}

/** Adjusts the windows of open streams to a new SETTINGS_INITIAL_WINDOW_SIZE, even below zero (RFC 9113 §6.9.2). */
export function adjustSendWindows({ streams }: Connection, changeBytes: number): ErrorCode | undefined {
  if (changeBytes === 0) return undefined;
  for (const stream of streams.values()) stream.sendWindow += changeBytes;
  for (const stream of changeBytes > 0 ? streams.values() : [])
    if (stream.sendWindow > MAX_WINDOW_BYTES) return ERROR_CODE.FLOW_CONTROL_ERROR;
  return undefined;
}
