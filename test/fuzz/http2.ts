import {
  ERROR_CODE,
  encodeFrame,
  encodeUint32s,
  FLAG,
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_FRAME_BYTES,
} from "../../src/http2/frames.ts";
import { inPieces, OPENING, padded } from "../support/http2-frames.ts";
import type { Body, Conversation, Expand, Field, Plan, Request } from "./conversation.ts";
import { copiesWithin, plain } from "./conversation.ts";

/** The bytes of requests by HTTP/2, each on a stream of its own. */
export function http2Plan(conversation: Conversation, expand: Expand): Plan {
  const { requests, copies, frames, ending } = conversation;
  const once = requests.flatMap((request) => requestFrames(1, request, frames, expand));
  const all = Array.from({ length: copiesWithin(once, copies) }, () => requests).flat();
  const resets = ending.kind === "abort" && ending.how === "reset";
  const writes = all.flatMap((request, index) => {
    const sent = requestFrames(1 + 2 * index, request, frames, expand);
    return resets ? [...sent, resetOf(1 + 2 * index)] : sent;
  });
  return {
    writes: [OPENING, ...writes],
    responses: all.length,
    isComplete: requests.every(({ method, body }) => method !== "CONNECT" && (!body || body.lie === 0)),
  };
}

function resetOf(streamId: number): Buffer {
  return encodeFrame(FRAME.RST_STREAM, 0, streamId, encodeUint32s(ERROR_CODE.CANCEL));
}

/** The value of the pseudo-header `:protocol` (RFC 8441 §4). */
const HTTP1_UPGRADE = new Set(["connection", "upgrade", "sec-websocket-key"]);

function requestFrames(
  streamId: number,
  request: Request,
  frames: Conversation["frames"],
  expand: Expand,
): Buffer[] {
  const { method, target, authority, fields, body } = request;
  const isConnect = method === "CONNECT";
  const upgrade = fields.find(([name]) => expand(name).toLowerCase() === "upgrade")?.[1];
  const isExtended = upgrade !== undefined && method === "GET";
  const head: Field[] = [
    [plain(":method"), plain(isExtended ? "CONNECT" : method)],
    ...(isConnect
      ? []
      : ([
          [plain(":path"), target],
          [plain(":scheme"), plain("http")],
        ] satisfies Field[])),
    ...(isExtended ? ([[plain(":protocol"), upgrade]] satisfies Field[]) : []),
    ...(authority === undefined ? [] : ([[plain(":authority"), plain(authority)]] satisfies Field[])),
    ...(body?.framing === "length"
      ? ([[plain("content-length"), plain(`${lengthOf(body, expand)}`)]] satisfies Field[])
      : []),
    ...fields.flatMap(([name, value]): Field[] => {
      const lower = expand(name).toLowerCase();
      return isExtended && HTTP1_UPGRADE.has(lower) ? [] : [[plain(lower), value]];
    }),
  ];
  const isOpen = isConnect || isExtended || body !== undefined;
  return [
    blockFrames(streamId, head, frames.block, isOpen ? 0 : FLAG.END_STREAM, expand),
    ...(body ? bodyFrames(streamId, body, frames, expand) : []),
  ];
}

function lengthOf({ pieces, lie }: Body, expand: Expand): number {
  return pieces.reduce((sum, piece) => sum + expand(piece).length, lie);
}

function bodyFrames(
  streamId: number,
  { pieces, trailers }: Body,
  frames: Conversation["frames"],
  expand: Expand,
): Buffer[] {
  const bytes = pieces.flatMap((piece) => cut(Buffer.from(expand(piece), "latin1"), MAX_FRAME_BYTES - 256));
  const data = bytes.map((piece) =>
    frames.padding === 0
      ? encodeFrame(FRAME.DATA, 0, streamId, piece)
      : padded(FRAME.DATA, streamId, piece, frames.padding),
  );
  const end =
    trailers.length === 0
      ? encodeFrame(FRAME.DATA, FLAG.END_STREAM, streamId, Buffer.alloc(0))
      : blockFrames(streamId, trailers, frames.block, FLAG.END_STREAM, expand);
  return [...data, end];
}

function cut(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

/** A header block in frames of this many bytes. */
function blockFrames(
  streamId: number,
  fields: readonly Field[],
  size: number,
  flags: number,
  expand: Expand,
): Buffer {
  const block = Buffer.concat(fields.map((field) => fieldBytes(field, expand)));
  const step = Math.min(Math.max(size, Math.ceil(block.length / 100)), MAX_FRAME_BYTES);
  const cuts = Array.from(
    { length: Math.max(0, Math.ceil(block.length / step) - 1) },
    (_, i) => (i + 1) * step,
  );
  return inPieces(streamId, block, cuts, flags);
}

/** A literal without indexing and without Huffman (RFC 7541 §6.2.2); any length, any byte. */
function fieldBytes([name, value]: Field, expand: Expand): Buffer {
  return Buffer.concat([Buffer.of(0), literal(expand(name)), literal(expand(value))]);
}

const PREFIX_MAX = 127;

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < PREFIX_MAX) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length = [PREFIX_MAX];
  let rest = bytes.length - PREFIX_MAX;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.of(...length, rest), bytes]);
}

const SETTINGS_ACK = encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, Buffer.alloc(0));

/** Counts the streams that have ended in what Envoy sends by HTTP/2, and acknowledges its SETTINGS. */
export function http2Counter(send: (bytes: Buffer) => void): (chunk: Buffer) => number {
  let rest = Buffer.alloc(0);
  const ended = new Set<number>();
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= FRAME_HEAD_BYTES) {
      const end = FRAME_HEAD_BYTES + rest.readUIntBE(0, 3);
      if (rest.length < end) break;
      const [type, flags, streamId] = [rest[3], rest[4] ?? 0, rest.readUInt32BE(5)];
      if (type === FRAME.SETTINGS && (flags & FLAG.ACK) === 0) send(SETTINGS_ACK);
      const ends = (type === FRAME.HEADERS || type === FRAME.DATA) && (flags & FLAG.END_STREAM) !== 0;
      if (ends || type === FRAME.RST_STREAM) ended.add(streamId);
      rest = rest.subarray(end);
    }
    return ended.size;
  };
}
