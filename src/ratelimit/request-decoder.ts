import type { DescriptorEntry } from "../core/limits/descriptor-limits.ts";
import type { ProtobufReader } from "../grpc/protobuf-reader.ts";
import {
  openReader,
  readEntry,
  readInner,
  readMessage,
  readText,
  readUnsigned,
} from "../grpc/protobuf-reader.ts";

export interface ReceivedDescriptor {
  readonly entries: DescriptorEntry[];
  /** Undefined: that of the request. */
  hits: number | undefined;
  /** Whether Envoy asks to return the hits. Nothing ever is. */
  isRefund: boolean;
}

export interface RateLimitRequest {
  domain: string;
  readonly descriptors: ReceivedDescriptor[];
  /** 0 means 1. */
  hits: number;
}

/** Envoy's configuration has a descriptor for each of its actions, so real requests have a few. */
export const MAX_DESCRIPTORS = 64;
export const MAX_ENTRIES = 64;

/** Throws a RangeError if the message does not decode, or has more than 64 descriptors or entries of one descriptor. */
export function decodeRateLimitRequest(message: Uint8Array): RateLimitRequest {
  const request: RateLimitRequest = { domain: "", descriptors: [], hits: 0 };
  readMessage(openReader(message), message.length, request, readRequestField);
  return request;
}

/** Tags, by the field numbers in proto/ratelimit.proto. */
const F1 = 0x0a;
const F2 = 0x12;
const F3 = 0x1a;
const F1_NUMBER = 0x08;
const F3_NUMBER = 0x18;
const F4_NUMBER = 0x20;

function readRequestField(
  reader: ProtobufReader,
  tag: number,
  end: number,
  request: RateLimitRequest,
): boolean {
  if (tag === F1) request.domain = readText(reader, end);
  else if (tag === F3_NUMBER) request.hits = readUnsigned(reader, end);
  else if (tag === F2) {
    if (request.descriptors.length === MAX_DESCRIPTORS) throw new RangeError("too many descriptors");
    const descriptor: ReceivedDescriptor = { entries: [], hits: undefined, isRefund: false };
    request.descriptors.push(descriptor);
    readInner(reader, end, descriptor, readDescriptorField);
  } else return false;
  return true;
}

function readDescriptorField(
  reader: ProtobufReader,
  tag: number,
  end: number,
  descriptor: ReceivedDescriptor,
): boolean {
  if (tag === F1) {
    if (descriptor.entries.length === MAX_ENTRIES) throw new RangeError("too many entries");
    const { key, value } = readEntry(reader, end);
    descriptor.entries.push({ key, value });
    return true;
  }
  if (tag === F4_NUMBER) {
    descriptor.isRefund = readUnsigned(reader, end) !== 0;
    return true;
  }
  if (tag !== F3) return false;
  // A wrapper without its field contains 0.
  descriptor.hits ??= 0;
  return readInner(reader, end, descriptor, readHitsField);
}

function readHitsField(
  reader: ProtobufReader,
  tag: number,
  end: number,
  descriptor: ReceivedDescriptor,
): boolean {
  if (tag !== F1_NUMBER) return false;
  descriptor.hits = readUnsigned(reader, end);
  return true;
}
