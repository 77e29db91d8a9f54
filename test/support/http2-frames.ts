import type { Socket } from "node:net";
import { connect } from "node:net";
import {
  encodeFrame,
  FLAG,
  FRAME,
  FRAME_HEAD_BYTES,
  PREFACE,
  settingsPayload,
} from "../../src/http2/frames.ts";
import { encodeHeaderBlock } from "../../src/http2/header-encoder.ts";
import { createHpackDecoder } from "../../src/http2/hpack.ts";
import { CHECK_PATH, frame as grpcFrame } from "./grpc-client.ts";

export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** A connection on which a test sends any frames. */
export interface FrameConnection {
  readonly socket: Socket;
  /** Resolves when the bytes have been written. */
  send(...bytes: readonly Uint8Array[]): Promise<void>;
  /** All frames from the server. */
  readonly frames: readonly SeenFrame[];
  /** One line for each frame; one line for a whole response, when it ends. */
  readonly lines: readonly string[];
  /** Waits for a matching line, or for the end of the connection. */
  until(line: string | RegExp): Promise<void>;
  /** Waits until the condition is true, or the connection ends. It is evaluated after each chunk. */
  untilSeen(isEnough: () => boolean): Promise<void>;
  readonly closed: Promise<void>;
}

export type Fields = readonly (readonly [name: string, value: string])[];

/** The head of a Check. */
export const HEAD: Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", CHECK_PATH],
  [":authority", "latchkey"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];

export const SETTINGS = encodeFrame(FRAME.SETTINGS, 0, 0, Buffer.alloc(0));
export const OPENING = Buffer.concat([PREFACE, SETTINGS]);

export function settings(...values: readonly (readonly [id: number, value: number])[]): Buffer {
  return encodeFrame(FRAME.SETTINGS, 0, 0, settingsPayload(values));
}

export function headers(streamId: number, fields: Fields = HEAD, flags: number = FLAG.END_HEADERS): Buffer {
  return encodeFrame(FRAME.HEADERS, flags, streamId, encodeHeaderBlock(fields));
}

export function data(streamId: number, bytes: Uint8Array, flags = 0): Buffer {
  return encodeFrame(FRAME.DATA, flags, streamId, bytes);
}

/** A framed gRPC message with END_STREAM. */
export function lastMessage(streamId: number, text: string): Buffer {
  return data(streamId, grpcFrame(Buffer.from(text)), FLAG.END_STREAM);
}

/** A complete Check. */
export function checkOf(streamId: number, text: string): Buffer {
  return Buffer.concat([headers(streamId), lastMessage(streamId, text)]);
}

/** RFC 9113 §7. */
export const ERROR_NAMES = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
];

/** Opens a connection to `127.0.0.1:port` or `unix:/path`, and sends nothing, not even the preface. */
export async function connectFrames(address: string): Promise<FrameConnection> {
  const [kind, place] = address.split(":");
  const socket =
    kind === "unix"
      ? connect({ path: place ?? "" })
      : connect({ host: "127.0.0.1", port: Number(place), noDelay: true });
  const { frames, lines, receive } = createFrameReader();
  const waiting = new Set<() => void>();
  socket.on("data", (chunk) => {
    receive(chunk);
    for (const look of waiting) look();
  });
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const untilSeen = async (isEnough: () => boolean) => {
    if (isEnough()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (isEnough()) resolve();
    };
    waiting.add(look);
    await Promise.race([promise, closed]);
    waiting.delete(look);
  };
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  return {
    socket,
    frames,
    lines,
    closed,
    untilSeen,
    until: (wanted) =>
      untilSeen(() =>
        lines.some((line) => (typeof wanted === "string" ? line === wanted : wanted.test(line))),
      ),
    send: (...bytes) => new Promise((resolve) => socket.write(Buffer.concat(bytes), () => resolve())),
  };
}

/** What a client has received. */
export interface FrameReader extends Pick<FrameConnection, "frames" | "lines"> {
  receive(chunk: Buffer): void;
}

export function createFrameReader(): FrameReader {
  const frames: SeenFrame[] = [];
  const lines: string[] = [];
  const describe = createDescriber();
  let rest = Buffer.alloc(0);
  return {
    frames,
    lines,
    receive(chunk) {
      rest = Buffer.concat([rest, chunk]);
      for (let seen = cutFrame(rest); seen !== undefined; seen = cutFrame(rest)) {
        rest = rest.subarray(FRAME_HEAD_BYTES + seen.payload.length);
        frames.push(seen);
        const line = describe(seen);
        if (line !== undefined) lines.push(line);
      }
    },
  };
}

/** The first frame of these bytes, once it is complete. */
export function cutFrame(bytes: Buffer): SeenFrame | undefined {
  if (bytes.length < FRAME_HEAD_BYTES) return undefined;
  const end = FRAME_HEAD_BYTES + bytes.readUIntBE(0, 3);
  if (bytes.length < end) return undefined;
  const payload = Buffer.from(bytes.subarray(FRAME_HEAD_BYTES, end));
  return { type: bytes.readUInt8(3), flags: bytes.readUInt8(4), streamId: bytes.readUInt32BE(5), payload };
}

interface Response {
  readonly fields: Map<string, string>;
  readonly body: Buffer[];
}

/** Describes frames and responses in one line each. */
function createDescriber(): (frame: SeenFrame) => string | undefined {
  const hpack = createHpackDecoder();
  const responses = new Map<number, Response>();
  return (frame) => {
    const { type, flags, streamId, payload } = frame;
    const control = describeControl(frame);
    if (control !== undefined) return control;
    const response = responses.get(streamId) ?? { fields: new Map<string, string>(), body: [] };
    responses.set(streamId, response);
    if (type === FRAME.DATA) response.body.push(payload);
    else hpack.decode(payload, (name, value) => response.fields.set(name, value));
    return (flags & FLAG.END_STREAM) === 0 ? undefined : `${streamId} ${describeResponse(response)}`;
  };
}

/** One line for a frame that is no part of a response. */
export function describeControl({ type, flags, streamId, payload }: SeenFrame): string | undefined {
  const ack = (flags & FLAG.ACK) === 0 ? "" : " ACK";
  const errorAt = (at: number) => ERROR_NAMES[payload.readUInt32BE(at)];
  switch (type) {
    case FRAME.SETTINGS:
      return `SETTINGS${ack}`;
    case FRAME.PING:
      return `PING${ack} ${payload.toString("hex")}`;
    case FRAME.WINDOW_UPDATE:
      return `WINDOW_UPDATE ${streamId} ${payload.readUInt32BE(0)}`;
    case FRAME.GOAWAY:
      return `GOAWAY ${payload.readUInt32BE(0)} ${errorAt(4)}`;
    case FRAME.RST_STREAM:
      return `RST_STREAM ${streamId} ${errorAt(0)}`;
    default:
      return undefined;
  }
}

function describeResponse(response: Response): string {
  const body = Buffer.concat(response.body);
  const [http, grpc] = [response.fields.get(":status"), response.fields.get("grpc-status")];
  if (http !== "200" || grpc !== "0") return `rejected: ${http}, ${grpc}`;
  const message = body.subarray(5);
  if (!body.equals(grpcFrame(message))) return `answered without a message: ${body.toString("hex")}`;
  return `answered: ${message.length > 100 ? `${message.length} bytes` : message.toString("latin1")}`;
}

/** A frame with padding. Its pad length may differ from the actual padding. */
export function padded(
  type: number,
  streamId: number,
  content: Uint8Array,
  padding: number,
  flags = 0,
  padLength = padding,
): Buffer {
  const payload = Buffer.concat([Buffer.of(padLength), content, Buffer.alloc(padding)]);
  return encodeFrame(type, flags | FLAG.PADDED, streamId, payload);
}

/** Lines that every connection has, at its start and for each of its SETTINGS. */
const COMMON_LINES = new Set(["SETTINGS", "SETTINGS ACK", "WINDOW_UPDATE 0 16711681"]);
const LAST_STREAM_ID = 20_001;
export const SERVED = `${LAST_STREAM_ID} answered: later last`;

/** The lines of a connection error. */
export function ended(code: string, lastStreamId = 0): string[] {
  return [`GOAWAY ${lastStreamId} ${code}`, "closed"];
}

/**
 * What an echo server sends after a valid preface and these bytes. It then gets one more call, which it serves (SERVED) unless
 * the connection has ended ("closed").
 */
export function outcomeOf(address: string, ...bytes: readonly Uint8Array[]): Promise<string[]> {
  return outcomeOfRaw(address, OPENING, ...bytes, checkOf(LAST_STREAM_ID, "later last"));
}

/** The same without the preface, and without a further call. */
export async function outcomeOfRaw(address: string, ...bytes: readonly Uint8Array[]): Promise<string[]> {
  const connection = await connectFrames(address);
  let isClosed = false;
  void connection.closed.then(() => {
    isClosed = true;
  });
  await connection.send(...bytes);
  await connection.until(SERVED);
  await (connection.lines.includes(SERVED) ? undefined : connection.closed);
  connection.socket.destroy();
  return outcome(connection.lines, isClosed);
}

/** The lines that not every connection has, and whether it is closed. */
export function outcome(lines: readonly string[], isClosed: boolean): string[] {
  return [...lines.filter((line) => !COMMON_LINES.has(line)), ...(isClosed ? ["closed"] : [])];
}

/** A header block in several frames, split at these places. */
export function inPieces(streamId: number, block: Buffer, cuts: readonly number[], flags = 0): Buffer {
  const ends = [...cuts, block.length];
  const frames = ends.map((end, index) => {
    const piece = block.subarray(ends[index - 1] ?? 0, end);
    const isLast = index === cuts.length ? FLAG.END_HEADERS : 0;
    return index === 0
      ? encodeFrame(FRAME.HEADERS, flags | isLast, streamId, piece)
      : encodeFrame(FRAME.CONTINUATION, isLast, streamId, piece);
  });
  return Buffer.concat(frames);
}

/** The head of a Check with this number of fields and this size (RFC 9113 §6.5.2). */
export function headOf(fields: number, listBytes: number): Fields {
  const names = Array.from(
    { length: fields - HEAD.length },
    (_, index) => `x-${String(index).padStart(118, "0")}`,
  );
  const bytes = (all: Fields) => all.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  let left = listBytes - bytes(HEAD) - bytes(names.map((name) => [name, ""]));
  return [
    ...HEAD,
    ...names.map((name): [string, string] => {
      const length = Math.min(left, 126);
      left -= length;
      return [name, "v".repeat(length)];
    }),
  ];
}
