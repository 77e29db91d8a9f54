import type { RpcRejection } from "./status.ts";
import { RPC_STATUS } from "./status.ts";

/** A flag for compression, and the length of the message as a 32-bit number (PROTOCOL-HTTP2.md, Length-Prefixed-Message). */
export const FRAME_HEAD_BYTES = 5;

/** Frames a message, without compression. */
export function encodeMessageFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, FRAME_HEAD_BYTES);
  return frame;
}

/** The one message of a unary call, or why it could not be received. */
export type Received =
  | { readonly kind: "message"; readonly message: Buffer }
  | { readonly kind: "invalid"; readonly rejection: RpcRejection };

export const OVERSIZED: Received = {
  kind: "invalid",
  rejection: { status: RPC_STATUS.RESOURCE_EXHAUSTED, message: "the message is too long" },
};
const COMPRESSED = malformed("a compressed message without grpc-encoding");
const TRUNCATED = malformed("the message ends before its length");
const SEVERAL = malformed("more than one message in a unary call");

/** Parses the complete body of a unary call. */
export function parseFrame(body: Buffer, maxMessageBytes: number): Received {
  if (body.length < FRAME_HEAD_BYTES) return TRUNCATED;
  if (body[0] !== 0) return COMPRESSED;
  const length = body.readUInt32BE(1);
  if (length > maxMessageBytes) return OVERSIZED;
  const surplus = body.length - FRAME_HEAD_BYTES - length;
  if (surplus !== 0) return surplus < 0 ? TRUNCATED : SEVERAL;
  return { kind: "message", message: body.subarray(FRAME_HEAD_BYTES) };
}

function malformed(message: string): Received {
  return { kind: "invalid", rejection: { status: RPC_STATUS.INTERNAL, message } };
}
