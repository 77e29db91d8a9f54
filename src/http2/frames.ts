/** RFC 9113 §6. */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

export const FLAG = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

/** RFC 9113 §6.5.2. */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** RFC 9113 §7. */
export const ERROR_CODE = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11,
} as const;
export type ErrorCode = (typeof ERROR_CODE)[keyof typeof ERROR_CODE];

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const FRAME_HEAD_BYTES = 9;
/** The default SETTINGS_MAX_FRAME_SIZE of both sides, which this server does not raise. */
export const MAX_FRAME_BYTES = 16_384;
export const INITIAL_WINDOW_BYTES = 65_535;
export const MAX_WINDOW_BYTES = 2 ** 31 - 1;
export const MAX_STREAM_ID = 2 ** 31 - 1;

/** One frame. Its payload is at `from` to `to` in `bytes`. */
export interface Frame {
  readonly flags: number;
  readonly streamId: number;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

/**
 * The place of the content, without padding. Returns the connection error of a frame that is too short for its padding.
 * @param prefixBytes fields between the pad length and the content
 */
export function contentOf(
  { flags, bytes, from, to }: Frame,
  prefixBytes: number,
): Pick<Frame, "from" | "to"> | ErrorCode {
  const isPadded = (flags & FLAG.PADDED) !== 0;
  const start = from + prefixBytes + (isPadded ? 1 : 0);
  if (start > to) return ERROR_CODE.FRAME_SIZE_ERROR;
  const end = isPadded ? to - (bytes[from] ?? 0) : to;
  return end < start ? ERROR_CODE.PROTOCOL_ERROR : { from: start, to: end };
}

export function encodeFrame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + payload.length);
  writeFrameHead(frame, 0, payload.length, type, flags, streamId);
  frame.set(payload, FRAME_HEAD_BYTES);
  return frame;
}

export function writeFrameHead(
  to: Buffer,
  at: number,
  payloadBytes: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  to.writeUIntBE(payloadBytes, at, 3);
  to[at + 3] = type;
  to[at + 4] = flags;
  to.writeUInt32BE(streamId, at + 5);
}

/** A payload of 32-bit numbers. */
export function encodeUint32s(...values: readonly number[]): Buffer {
  const payload = Buffer.allocUnsafe(4 * values.length);
  for (const [index, value] of values.entries()) payload.writeUInt32BE(value, 4 * index);
  return payload;
}

/** The payload of a SETTINGS frame. */
export function settingsPayload(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(6 * settings.length);
  for (const [index, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  }
  return payload;
}
