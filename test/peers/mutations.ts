import { readFileSync } from "node:fs";
import { encodeFrame, FLAG, FRAME } from "../../src/http2/frames.ts";
import type { SentFrame } from "./client-side.ts";
import { framesOf } from "./client-side.ts";
import type { Conversation } from "./conversation.ts";

const CLIENTS = ["envoy", "grpc-js", "grpcio", "grpc-go"] as const;
const FRAME_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(FRAME).map(([name, type]) => [type, name]),
);

/** What replaces a frame of a recording. Undefined: the mutation does not apply to it. */
type Mutation = (frame: SentFrame) => readonly SentFrame[] | undefined;

const toggle =
  (flag: number, ...types: readonly number[]): Mutation =>
  (frame) =>
    types.includes(frame.type) ? [{ ...frame, flags: frame.flags ^ flag }] : undefined;

const onStream =
  (change: (streamId: number) => number): Mutation =>
  (frame) => [{ ...frame, streamId: change(frame.streamId) }];

const payload =
  (change: (payload: Buffer) => Buffer): Mutation =>
  (frame) =>
    frame.payload.length === 0 ? undefined : [{ ...frame, payload: change(Buffer.from(frame.payload)) }];

const invert = (index: (length: number) => number) =>
  payload((bytes) => {
    const at = index(bytes.length);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
    return bytes;
  });

const ofType =
  (type: number): Mutation =>
  (frame) =>
    frame.type === type ? undefined : [{ ...frame, type }];

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  omitted: () => [],
  repeated: (frame) => [frame, frame],
  "with END_STREAM or ACK toggled": toggle(
    FLAG.END_STREAM,
    FRAME.DATA,
    FRAME.HEADERS,
    FRAME.SETTINGS,
    FRAME.PING,
  ),
  "without END_HEADERS": toggle(FLAG.END_HEADERS, FRAME.HEADERS),
  "with PADDED": toggle(FLAG.PADDED, FRAME.DATA, FRAME.HEADERS),
  "with PRIORITY": toggle(FLAG.PRIORITY, FRAME.HEADERS),
  "on the next stream id": onStream((streamId) => streamId + 1),
  "on another stream of the client": onStream((streamId) => streamId + (streamId === 0 ? 1 : 4)),
  "on stream 0": (frame) => (frame.streamId === 0 ? undefined : [{ ...frame, streamId: 0 }]),
  "a byte short": payload((bytes) => bytes.subarray(0, -1)),
  "a byte long": (frame) => [{ ...frame, payload: Buffer.concat([frame.payload, Buffer.alloc(1)]) }],
  "with its first byte inverted": invert(() => 0),
  "with its middle byte inverted": invert((length) => length >> 1),
  "with its last byte inverted": invert((length) => length - 1),
  "as DATA": ofType(FRAME.DATA),
  "as HEADERS": ofType(FRAME.HEADERS),
  "as RST_STREAM": ofType(FRAME.RST_STREAM),
  "as CONTINUATION": ofType(FRAME.CONTINUATION),
  "as WINDOW_UPDATE": ofType(FRAME.WINDOW_UPDATE),
  "as an unknown type": ofType(0xbb),
};

/** The recordings, and each of them with each mutation of each of its frames. */
export function recordedCases(): readonly Conversation[] {
  return CLIENTS.flatMap((client) => {
    const [preface, ...rest] = linesOf(client);
    const frames = framesOf(Buffer.concat(rest));
    const whole = (name: string, changed: readonly SentFrame[]): Conversation => ({
      name: `${client}${name}`,
      bytes: Buffer.concat([preface ?? Buffer.alloc(0), ...changed.map(encode)]),
    });
    return [
      whole(": as recorded", frames),
      ...frames.flatMap((frame, index) =>
        Object.entries(MUTATIONS).flatMap(([what, mutate]) => {
          const mutated = mutate(frame);
          const name = `: frame ${index + 1}, ${FRAME_NAMES.get(frame.type)}, ${what}`;
          return mutated === undefined ? [] : [whole(name, frames.toSpliced(index, 1, ...mutated))];
        }),
      ),
    ];
  });
}

function linesOf(client: (typeof CLIENTS)[number]): readonly Buffer[] {
  const text = readFileSync(new URL(`recordings/${client}.hex`, import.meta.url), "latin1");
  return text.split("\n").flatMap((line) => (line === "" ? [] : [Buffer.from(line, "hex")]));
}

function encode({ type, flags, streamId, payload: bytes }: SentFrame): Buffer {
  return encodeFrame(type, flags, streamId, bytes);
}
