import { FLAG, FRAME, FRAME_HEAD_BYTES, PREFACE } from "../../src/http2/frames.ts";
import type { Observed, ObservedStream } from "./observer.ts";

/** What the client has sent on its streams. */
export interface ClientSide {
  /** Parses complete frames, after the preface if there is one. */
  onSent(bytes: Buffer): void;
  /** After its GOAWAY, a server may close the connection when it likes (RFC 9113 §6.8). */
  hasSentGoaway(): boolean;
  /** Complete requests to which the server has not reacted, though it should. */
  unanswered(observed: Observed): readonly number[];
  /** The outcome of each stream, in the order of their ids. */
  outcomes(observed: Observed, isOver: boolean): readonly (readonly [streamId: number, outcome: string])[];
}

const MIN_GOAWAY_BYTES = 8;

export function createClientSide(): ClientSide {
  const opened = new Set<number>();
  const complete = new Set<number>();
  const cancelled = new Set<number>();
  let highest = 0;
  let hasSentGoaway = false;
  return {
    hasSentGoaway: () => hasSentGoaway,
    onSent(bytes) {
      for (const { type, flags, streamId, payload } of framesOf(bytes)) {
        // A lower id opens no stream (RFC 9113 §5.1.1).
        if (type === FRAME.HEADERS && streamId > highest) opened.add(streamId);
        if (type === FRAME.HEADERS) highest = Math.max(highest, streamId);
        if (type === FRAME.GOAWAY && streamId === 0 && payload.length >= MIN_GOAWAY_BYTES)
          hasSentGoaway = true;
        if (type === FRAME.RST_STREAM) cancelled.add(streamId);
        // The peers never respond to such a message.
        if (type === FRAME.DATA && payload.includes("later")) cancelled.add(streamId);
        if ((type === FRAME.HEADERS || type === FRAME.DATA) && (flags & FLAG.END_STREAM) !== 0)
          complete.add(streamId);
      }
    },
    unanswered: ({ streams }) =>
      [...complete].filter((streamId) => {
        const stream = streams.get(streamId);
        return (
          opened.has(streamId) &&
          !cancelled.has(streamId) &&
          stream?.status === undefined &&
          stream?.reset === undefined
        );
      }),
    outcomes({ streams }, isOver) {
      const ids = [...new Set([...opened, ...streams.keys()])].toSorted((one, other) => one - other);
      return ids.flatMap((streamId) => {
        const stream = streams.get(streamId);
        if (stream !== undefined) return [[streamId, describeStream(stream)] as const];
        return isOver ? [] : [[streamId, "no response"] as const];
      });
    },
  };
}

export function isFinished({ isEnded, reset }: ObservedStream): boolean {
  return isEnded === true || reset !== undefined;
}

function describeStream({ status, isEnded, reset }: ObservedStream): string {
  if (status === undefined) return `reset ${reset}`;
  // A server that needs no more of a request may say so after its response (RFC 9113 §8.1).
  if (isEnded === true)
    return reset === undefined || reset === "NO_ERROR" ? status : `${status}, reset ${reset}`;
  return reset === undefined ? `${status} without its end` : `${status} without its end, reset ${reset}`;
}

export interface SentFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** The complete frames, after the preface if there is one. */
export function framesOf(bytes: Buffer): readonly SentFrame[] {
  const frames: SentFrame[] = [];
  let at = bytes.subarray(0, PREFACE.length).equals(PREFACE) ? PREFACE.length : 0;
  while (at + FRAME_HEAD_BYTES <= bytes.length) {
    const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
    frames.push({
      type: bytes[at + 3] ?? 0,
      flags: bytes[at + 4] ?? 0,
      streamId: bytes.readUInt32BE(at + 5) & 0x7fff_ffff,
      payload: bytes.subarray(at + FRAME_HEAD_BYTES, end),
    });
    at = end;
  }
  return frames;
}
