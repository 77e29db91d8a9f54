import assert from "node:assert/strict";
import { encodeMessageFrame, FRAME_HEAD_BYTES, parseFrame } from "../../../src/grpc/message-frame.ts";
import type { Target } from "../target.ts";

const MAX_MESSAGE_BYTES = 100;

/** A frame that is accepted is the frame of its message, to the last byte. Each message has a frame that is accepted. */
function run(input: Buffer): void {
  const received = parseFrame(input, MAX_MESSAGE_BYTES);
  if (received.kind === "message") {
    assert.ok(received.message.length <= MAX_MESSAGE_BYTES);
    assert.deepEqual(encodeMessageFrame(received.message), input, "all bytes were read");
  }
  const encoded = encodeMessageFrame(input);
  assert.equal(encoded.length, input.length + FRAME_HEAD_BYTES);
  const again = parseFrame(encoded, MAX_MESSAGE_BYTES);
  if (input.length > MAX_MESSAGE_BYTES) assert.equal(again.kind, "invalid");
  else assert.deepEqual(again, { kind: "message", message: input });
}

export const target: Target = {
  run,
  files: ["grpc/message-frame.ts"],
  maxBytes: 120,
  stepsPerByte: 10,
  runs: 30_000,
};
