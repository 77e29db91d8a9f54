import assert from "node:assert/strict";
import { decodeCheckRequest } from "../../../src/ext-authz/check-request-decoder.ts";
import { decodeHealthRequest } from "../../../src/grpc/health-messages.ts";
import { decodeReflectionRequest } from "../../../src/grpc/reflection-messages.ts";
import { decodeRateLimitRequest } from "../../../src/ratelimit/request-decoder.ts";
import type { Target } from "../target.ts";

/** A field that no message has: number 1000, of each wire type. */
const UNKNOWN_FIELDS = Buffer.from("c03e05c13e0102030405060708c23e0161c53e01020304", "hex");
const AROUND = Buffer.alloc(16, 0xff);

const DECODERS: readonly ((message: Uint8Array) => unknown)[] = [
  plainCheckRequest,
  decodeRateLimitRequest,
  decodeReflectionRequest,
  decodeHealthRequest,
];

/**
 * The first byte chooses the decoder. Any bytes are a message or cause a RangeError. The result depends on no byte outside the message,
 * and on no unknown field. A part of a message that is text is not longer than the message.
 */
function run(input: Buffer): void {
  const decode = DECODERS[(input[0] ?? 0) % DECODERS.length];
  if (decode === undefined) return;
  const message = input.subarray(1);
  const outcome = outcomeOf(decode, message);
  const view = Buffer.concat([AROUND, message, AROUND]).subarray(
    AROUND.length,
    AROUND.length + message.length,
  );
  assert.deepEqual(outcomeOf(decode, view), outcome, "bytes around the message");
  if (outcome === undefined) return;
  assert.deepEqual(outcomeOf(decode, Buffer.concat([message, UNKNOWN_FIELDS])), outcome, "unknown fields");
  assert.deepEqual(outcomeOf(decode, Buffer.concat([UNKNOWN_FIELDS, message])), outcome, "unknown fields");
  // In JSON, a byte of the message can become six characters.
  assert.ok(JSON.stringify(outcome).length <= 300 + 80 * message.length, "the result is bounded");
}

/** Undefined for a malformed message. */
function outcomeOf(decode: (message: Uint8Array) => unknown, message: Buffer): unknown {
  try {
    return decode(message);
  } catch (error) {
    assert.ok(error instanceof RangeError, String(error));
    return undefined;
  }
}

function plainCheckRequest(message: Uint8Array): unknown {
  const { http, extensions, ...rest } = decodeCheckRequest(message);
  const headers = [...(http?.headers.keys() ?? [])].map((name) => [name, http?.headers.get(name)]);
  return { ...rest, extensions: [...(extensions ?? [])], http: http && { ...http, headers } };
}

export const target: Target = {
  run,
  files: [
    "grpc/protobuf-reader.ts",
    "ext-authz/check-request-decoder.ts",
    "ratelimit/request-decoder.ts",
    "grpc/reflection-messages.ts",
    "grpc/health-messages.ts",
  ],
  maxBytes: 400,
  stepsPerByte: 200,
  runs: 20_000,
};
