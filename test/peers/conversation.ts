import { encodeFrame, FLAG, FRAME, FRAME_HEAD_BYTES, PREFACE } from "../../src/http2/frames.ts";
import { encodeHeaderBlock } from "../../src/http2/header-encoder.ts";
import type { FrameConnection } from "../support/http2-frames.ts";
import { connectFrames, HEAD } from "../support/http2-frames.ts";
import { createClientSide, isFinished } from "./client-side.ts";
import { createObserver } from "./observer.ts";

/** A byte stream of a client. */
export interface Conversation {
  readonly name: string;
  /** All bytes of the connection, with the preface. */
  readonly bytes: Buffer;
  /** The client withholds the window for the bodies of the responses, so their end is not awaited. */
  readonly withholdsWindow?: true;
}

/**
 * The acknowledgement of a PING follows everything that a server sends at once in reaction to earlier frames. The second one
 * follows what a server writes only after its acknowledgements.
 */
const PINGS = 2;
const PING_PAYLOAD = Buffer.from("settled?");
const PING = encodeFrame(FRAME.PING, 0, 0, PING_PAYLOAD);
/** A further request, which shows that the connection continues. */
const PROBE_ID = 2 ** 31 - 1;
const PROBE_FLAGS = FLAG.END_HEADERS | FLAG.END_STREAM;
const PROBE = encodeFrame(FRAME.HEADERS, PROBE_FLAGS, PROBE_ID, encodeHeaderBlock(HEAD));
/** After this time, a server that neither reacts nor closes is a fault. */
const STALLED_MS = 60_000;

/**
 * Plays the bytes of a client frame by frame. Each frame is sent when the server has reacted to the frames before: it has
 * acknowledged a PING, and has responded to each complete request. Returns the outcome of each stream and of the connection.
 * Rejects if the server stalls.
 */
export async function outcomeOf(port: number, conversation: Conversation): Promise<string> {
  const connection = await connectFrames(`127.0.0.1:${port}`);
  try {
    return await play(connection, conversation);
  } finally {
    connection.socket.destroy();
  }
}

async function play(connection: FrameConnection, conversation: Conversation): Promise<string> {
  const observe = createObserver(connection, PING_PAYLOAD);
  const client = createClientSide();
  const isOver = () => connection.socket.closed || observe().goaway !== undefined;
  const until = async (what: string, condition: () => boolean) => {
    const stalled = Promise.withResolvers<never>();
    const error = new Error(`${conversation.name}: ${what} does not come`);
    const timer = setTimeout(() => stalled.reject(error), STALLED_MS);
    await Promise.race([stalled.promise, connection.untilSeen(() => isOver() || condition())]);
    clearTimeout(timer);
  };
  let pings = 0;
  /** A server may close the connection in reaction to a step, so a step and its PING are one write. */
  const send = async (...bytes: readonly Buffer[]) => {
    if (isOver()) return;
    const awaited = ++pings;
    await connection.send(...bytes, PING);
    for (const part of bytes) client.onSent(part);
    await until("the acknowledgement of a PING", () => observe().pingAcks >= awaited);
  };
  const settle = async (step: Buffer) => {
    await send(step);
    for (let sent = 1; sent < PINGS; sent++) await send();
    await until("a response", () => client.unanswered(observe()).length === 0);
  };
  for (const step of stepsOf(conversation.bytes)) await settle(step);
  if (conversation.withholdsWindow !== true)
    await until("the end of a response", () =>
      [...observe().streams.values()].every((stream) => stream.status === undefined || isFinished(stream)),
    );
  if (!client.hasSentGoaway()) await settle(PROBE);
  return describe();

  function describe(): string {
    const observed = observe();
    const outcomes = client.outcomes(observed, isOver() || client.hasSentGoaway()).map(([id, outcome]) => {
      if (id !== PROBE_ID) return `${id}: ${outcome}`;
      return outcome.startsWith("200") ? "connection continues" : `further request: ${outcome}`;
    });
    if (observed.goaway !== undefined) return [...outcomes, `GOAWAY ${observed.goaway}`].join("; ");
    if (client.hasSentGoaway()) return [...outcomes, "GOAWAY of the client"].join("; ");
    return [...outcomes, ...(isOver() ? ["closed"] : [])].join("; ");
  }
}

/** The preface with the first frame, and then one frame each. No PING may separate the frames of a header block. */
function* stepsOf(bytes: Buffer): Generator<Buffer> {
  let from = 0;
  let at = PREFACE.length;
  const hasFrames = bytes.subarray(0, PREFACE.length).equals(PREFACE);
  while (hasFrames && at + FRAME_HEAD_BYTES <= bytes.length) {
    const isBlock = bytes[at + 3] === FRAME.HEADERS || bytes[at + 3] === FRAME.CONTINUATION;
    const isLast = ((bytes[at + 4] ?? 0) & FLAG.END_HEADERS) !== 0;
    at += FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
    if (isBlock && !isLast) continue;
    yield bytes.subarray(from, at);
    from = at;
  }
  if (from < bytes.length) yield bytes.subarray(from);
}
