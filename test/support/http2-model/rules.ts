import { ERROR_CODE } from "../../../src/http2/frames.ts";
import type { ModelConnection, ModelStream, Plan } from "./state.ts";
import { isLive, liveStreams, newStream } from "./state.ts";

/** A frame of the client, without its bytes. */
export type ClientFrame = HeadersFrame | DataFrame | ShortFrame;

interface HeadersFrame {
  readonly kind: "headers";
  readonly id: number;
  readonly block: "head" | "strict head" | "malformed head" | "malformed strict head" | "trailers";
  readonly isEnd: boolean;
  /** Its content-length. */
  readonly length: number | undefined;
  readonly plan: Plan;
}

interface DataFrame {
  readonly kind: "data";
  readonly id: number;
  readonly bytes: number;
  readonly padding: number | undefined;
  readonly isEnd: boolean;
}

type ShortFrame =
  | { readonly kind: "reset"; readonly id: number }
  | { readonly kind: "window"; readonly id: number; readonly bytes: number }
  | { readonly kind: "settings"; readonly window: number | undefined }
  | { readonly kind: "acknowledgement" | "goaway" }
  | { readonly kind: "priority"; readonly id: number; readonly bytes: number };

export interface RuleOptions {
  readonly maxStreams: number;
  readonly nowMs: number;
  readonly maxRequestMs: number;
}

/** What the server must do about a frame: end the connection, or reset the stream (RFC 9113 §5.4). */
type Violation = { readonly error: number } | { readonly reset: number } | undefined;

const PROTOCOL_ERROR: Violation = { error: ERROR_CODE.PROTOCOL_ERROR };
const MAX_WINDOW = 2 ** 31 - 1;

/** Does to a connection what a frame must do, by RFC 9113 and by the choices that it leaves to a server. */
export function applyFrame(connection: ModelConnection, frame: ClientFrame, options: RuleOptions): void {
  const violation = violationOf(connection, frame, options);
  if (violation === undefined) return;
  if ("reset" in violation && "id" in frame) resetStream(connection, frame.id, violation.reset);
  if ("error" in violation) connection.dueError = violation.error;
}

/** Resets a stream that broke a rule. Too many of those end the connection (CVE-2025-8671). */
function resetStream(connection: ModelConnection, id: number, code: number): void {
  if (connection.resetTokens < 1) connection.dueError = ERROR_CODE.ENHANCE_YOUR_CALM;
  if (connection.resetTokens-- < 1) return;
  const stream = connection.streams.get(id) ?? newStream(id, {});
  if (!connection.streams.has(id)) connection.unopened.add(stream);
  connection.streams.set(id, stream);
  stream.resetBy = "server";
  stream.dueReset = code;
}

function violationOf(connection: ModelConnection, frame: ClientFrame, options: RuleOptions): Violation {
  switch (frame.kind) {
    case "headers":
      if (frame.id % 2 === 0) return PROTOCOL_ERROR;
      return frame.id > connection.highest
        ? openStream(connection, frame, options)
        : endByTrailers(connection, frame);
    case "data":
      return receiveData(connection, frame);
    case "reset":
      return closeByClient(connection, frame.id);
    case "window":
      return frame.id === 0
        ? widenConnection(connection, frame.bytes)
        : widenStream(connection, frame.id, frame.bytes);
    case "settings":
      return changeSettings(connection, frame.window);
    case "acknowledgement":
      connection.acknowledged = true;
      return undefined;
    case "priority":
      return prioritize(connection, frame.id, frame.bytes);
    case "goaway":
      return undefined;
  }
}

function isIdle({ highest }: ModelConnection, id: number): boolean {
  return id > highest || id % 2 === 0;
}

/** The stream of a frame, unless it is closed. */
function findLive({ streams }: ModelConnection, id: number): ModelStream | undefined {
  const stream = streams.get(id);
  return stream !== undefined && isLive(stream) ? stream : undefined;
}

/** Frames that were under way when the server reset their stream are ignored. */
function isResetByServer({ streams }: ModelConnection, id: number): boolean {
  return streams.get(id)?.resetBy === "server";
}

/** The client knows from GOAWAY that this stream is not processed (RFC 9113 §6.8). */
function isBeyondGoaway({ isDraining, lastProcessed }: ModelConnection, id: number): boolean {
  return isDraining && id > lastProcessed;
}

function closeByClient(connection: ModelConnection, id: number): Violation {
  if (isIdle(connection, id)) return PROTOCOL_ERROR;
  const stream = findLive(connection, id);
  if (stream !== undefined) stream.resetBy = "client";
  return undefined;
}

/** RFC 9113 §6.3. */
function prioritize(connection: ModelConnection, id: number, bytes: number): Violation {
  if (id === 0) return PROTOCOL_ERROR;
  if (bytes === 5) return undefined;
  if (isIdle(connection, id)) return { error: ERROR_CODE.FRAME_SIZE_ERROR };
  return isResetByServer(connection, id) ? undefined : { reset: ERROR_CODE.FRAME_SIZE_ERROR };
}

function openStream(
  connection: ModelConnection,
  { id, block, isEnd, length, plan }: HeadersFrame,
  { maxStreams, nowMs, maxRequestMs }: RuleOptions,
): Violation {
  connection.highest = id;
  if (connection.isDraining) return undefined;
  const most = connection.acknowledged ? maxStreams : 4 * maxStreams;
  if (liveStreams(connection).length >= most) return { reset: ERROR_CODE.REFUSED_STREAM };
  const isTolerant = block === "head" || block === "malformed head";
  const isInvalid = !["head", "strict head"].includes(block) || (isEnd && (length ?? 0) !== 0);
  if (isInvalid && !isTolerant) return { reset: ERROR_CODE.PROTOCOL_ERROR };
  connection.lastProcessed = id;
  const stream = newStream(id, {
    plan,
    isTolerant,
    remaining: isInvalid ? undefined : length,
    sendWindow: connection.initialWindow,
    deadlineMs: nowMs + maxRequestMs,
  });
  connection.streams.set(id, stream);
  connection.open.add(stream);
  stream.requestEnded = isEnd;
  return undefined;
}

function endByTrailers(connection: ModelConnection, { id, block, isEnd }: HeadersFrame): Violation {
  if (isResetByServer(connection, id)) return undefined;
  const stream = findLive(connection, id);
  if (stream === undefined && block !== "trailers") return PROTOCOL_ERROR;
  if (isBeyondGoaway(connection, id)) return undefined;
  if (stream === undefined || stream.requestEnded) return { reset: ERROR_CODE.STREAM_CLOSED };
  if (block !== "trailers" || !isEnd) return { reset: ERROR_CODE.PROTOCOL_ERROR };
  return receiveBody(stream, 0, true);
}

/** Flow control counts padding, and DATA on streams that are closed (RFC 9113 §6.9.1). */
function receiveData(connection: ModelConnection, { id, bytes, padding, isEnd }: DataFrame): Violation {
  if (isIdle(connection, id)) return PROTOCOL_ERROR;
  const frameBytes = bytes + (padding === undefined ? 0 : padding + 1);
  connection.receiveWindow -= frameBytes;
  if (isBeyondGoaway(connection, id) || isResetByServer(connection, id)) return undefined;
  const stream = findLive(connection, id);
  if (stream === undefined || stream.requestEnded) return { reset: ERROR_CODE.STREAM_CLOSED };
  if (frameBytes > stream.receiveWindow) return { reset: ERROR_CODE.FLOW_CONTROL_ERROR };
  stream.receiveWindow -= frameBytes;
  return receiveBody(stream, bytes, isEnd);
}

/** A body must have the length of its content-length (RFC 9113 §8.1.1). */
function receiveBody(stream: ModelStream, bytes: number, isEnd: boolean): Violation {
  const left = stream.remaining === undefined ? undefined : stream.remaining - bytes;
  stream.isContradictory ||= left !== undefined && (isEnd ? left !== 0 : left < 0);
  if (stream.isContradictory && !stream.isTolerant) return { reset: ERROR_CODE.PROTOCOL_ERROR };
  stream.remaining = stream.isContradictory ? undefined : left;
  stream.requestEnded = isEnd;
  return undefined;
}

function widenConnection(connection: ModelConnection, bytes: number): Violation {
  if (bytes === 0) return PROTOCOL_ERROR;
  if (connection.sendWindow + bytes > MAX_WINDOW) return { error: ERROR_CODE.FLOW_CONTROL_ERROR };
  connection.sendWindow += bytes;
  return undefined;
}

function widenStream(connection: ModelConnection, id: number, bytes: number): Violation {
  if (isIdle(connection, id)) return PROTOCOL_ERROR;
  const stream = findLive(connection, id);
  if (stream === undefined) return undefined;
  if (bytes === 0) return { reset: ERROR_CODE.PROTOCOL_ERROR };
  if (stream.sendWindow + bytes > MAX_WINDOW) return { reset: ERROR_CODE.FLOW_CONTROL_ERROR };
  stream.sendWindow += bytes;
  return undefined;
}

/** The windows change when the server acknowledges the SETTINGS (RFC 9113 §6.5.3). */
function changeSettings(connection: ModelConnection, window: number | undefined): Violation {
  if (connection.settingsTokens < 1) return { error: ERROR_CODE.ENHANCE_YOUR_CALM };
  connection.settingsTokens--;
  const change = (window ?? connection.initialWindow) - connection.initialWindow;
  const isTooWide = liveStreams(connection).some(({ sendWindow }) => sendWindow + change > MAX_WINDOW);
  if ((window ?? 0) > MAX_WINDOW || isTooWide) return { error: ERROR_CODE.FLOW_CONTROL_ERROR };
  connection.sentSettings.push(window);
  return undefined;
}

/** The server has acknowledged the oldest of the SETTINGS that wait for it (RFC 9113 §6.9.2). */
export function acknowledgeSettings(connection: ModelConnection): void {
  const window = connection.sentSettings.shift() ?? connection.initialWindow;
  const change = window - connection.initialWindow;
  connection.initialWindow = window;
  for (const stream of liveStreams(connection)) stream.sendWindow += change;
}
