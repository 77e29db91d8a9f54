import type { RpcRejection } from "./status.ts";
import { RPC_STATUS } from "./status.ts";

/** A flag that says whether the message is compressed, and its length: four bytes, the highest first. */
export const FRAME_HEAD_BYTES = 5;

/** A message as gRPC frames it, not compressed. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, FRAME_HEAD_BYTES);
  return frame;
}

/** What came of a unary call's one message. */
export type Received =
  | { readonly kind: "message"; readonly message: Buffer }
  | { readonly kind: "unreadable"; readonly why: RpcRejection };

export const OVERSIZED: Received = {
  kind: "unreadable",
  why: { status: RPC_STATUS.RESOURCE_EXHAUSTED, message: "the message is too long" },
};
const COMPRESSED = broken("a compressed message without grpc-encoding");
const TRUNCATED = broken("the message ends before its length");
const SEVERAL = broken("more than one message in a unary call");

/** Reads the one message from everything that came. */
export function readFrame(bytes: Buffer, maxMessageBytes: number): Received {
  if (bytes.length < FRAME_HEAD_BYTES) return TRUNCATED;
  if (bytes[0] !== 0) return COMPRESSED;
  const length = bytes.readUInt32BE(1);
  if (length > maxMessageBytes) return OVERSIZED;
  const surplus = bytes.length - FRAME_HEAD_BYTES - length;
  if (surplus !== 0) return surplus < 0 ? TRUNCATED : SEVERAL;
  return { kind: "message", message: bytes.subarray(FRAME_HEAD_BYTES) };
}

function broken(message: string): Received {
  return { kind: "unreadable", why: { status: RPC_STATUS.INTERNAL, message } };
}
