import assert from "node:assert/strict";
import { FLAG, FRAME, FRAME_HEAD_BYTES } from "../../../src/http2/frames.ts";
import { OPENING } from "../../support/http2-frames.ts";
import { memoryServer } from "../../support/memory-server.ts";
import type { Target } from "../target.ts";

/** A response to an input of some bytes: SETTINGS, GOAWAY, and then at most this much for each byte. */
const SENT = { fixedBytes: 200, perByte: 12 };

/**
 * After the preface, any bytes. The first byte says where the server's reads end. The same bytes in one read and in many get the same
 * responses; what is kept and what is sent is bounded by what was received; and a closed connection leaves nothing behind.
 */
function run(input: Buffer): void {
  const bytes = Buffer.concat([OPENING, input.subarray(1)]);
  const [atOnce, inPieces] = [responses(bytes, bytes.length), responses(bytes, 1 + (input[0] ?? 0))];
  assert.deepEqual(inPieces.connection, atOnce.connection, "frames of the connection");
  // Where windows block streams, the end of a read decides which of them takes the next bytes of the connection's window.
  if (!atOnce.wasBlocked && !inPieces.wasBlocked) assert.deepEqual(inPieces.streams, atOnce.streams);
}

function responses(bytes: Buffer, pieceBytes: number) {
  const server = memoryServer();
  const written: Buffer[] = [];
  const client = server.connect({ onSent: (sent) => written.push(Buffer.from(sent)) });
  let wasBlocked = false;
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    client.deliver(bytes.subarray(at, at + pieceBytes));
    const { pendingBytes, bufferedBytes, sendWindow } = client.connection;
    wasBlocked ||= pendingBytes > 0 || sendWindow <= 0;
    assert.ok(pendingBytes >= 0 && bufferedBytes >= 0, "no amount is negative");
    assert.ok(bufferedBytes <= bytes.length, "what is kept was received");
  }
  const sent = Buffer.concat(written);
  assert.ok(sent.length <= SENT.fixedBytes + SENT.perByte * bytes.length, `${sent.length} bytes were sent`);
  client.close();
  const { incompleteRequests, pending, buffered, unsent } = server.load;
  const kept = [
    client.connection.streams.size,
    incompleteRequests,
    pending.bytes(),
    buffered.bytes(),
    unsent.bytes(),
  ];
  assert.deepEqual(kept, [0, 0, 0, 0, 0], "a closed connection leaves nothing behind");
  return { ...summary(sent), wasBlocked };
}

/** The frames of the connection, and for each stream its DATA in one piece between its other frames. */
function summary(sent: Buffer) {
  const connection: string[] = [];
  const streams = new Map<number, string[]>();
  for (let at = 0; at < sent.length; ) {
    const end = at + FRAME_HEAD_BYTES + sent.readUIntBE(at, 3);
    const [type = 0, flags = 0] = sent.subarray(at + 3, at + 5);
    const streamId = sent.readUInt32BE(at + 5);
    const payload = sent.toString("hex", at + FRAME_HEAD_BYTES, end);
    at = end;
    if (streamId === 0) connection.push(`${type} ${flags} ${payload}`);
    else addFrame(streams, streamId, type, flags, payload);
  }
  return { connection, streams };
}

function addFrame(streams: Map<number, string[]>, id: number, type: number, flags: number, payload: string) {
  const lines = streams.get(id) ?? [];
  streams.set(id, lines);
  const last = lines.at(-1) ?? "";
  assert.ok(!last.startsWith("reset"), "nothing follows a reset");
  if (type === FRAME.RST_STREAM) {
    lines.push(`reset ${payload}`);
    return;
  }
  assert.ok(
    last !== "end" || type === FRAME.WINDOW_UPDATE,
    "only a reset or a window update follows the end",
  );
  if (type === FRAME.DATA && last.startsWith("data")) lines[lines.length - 1] = last + payload;
  else lines.push(`${type === FRAME.DATA ? "data" : type} ${payload}`);
  if (type !== FRAME.WINDOW_UPDATE && (flags & FLAG.END_STREAM) !== 0) lines.push("end");
}

export const target: Target = {
  run,
  files: [
    "http2/frame-parser.ts",
    "http2/frame-handlers.ts",
    "http2/header-block-handlers.ts",
    "http2/stream-handlers.ts",
    "http2/stream.ts",
    "http2/flow-control.ts",
    "http2/stream-writer.ts",
    "http2/body-buffer.ts",
  ],
  maxBytes: 600,
  stepsPerByte: 600,
  runs: 12_000,
};
