import type { ProtobufReader } from "../grpc/protobuf-reader.ts";
import { openReader, readEntry, readInner, readMessage, readText } from "../grpc/protobuf-reader.ts";
import type { ReceivedHeaders } from "./request-headers.ts";
import { createReceivedHeaders } from "./request-headers.ts";

/** The fields of a CheckRequest that Latchkey uses. Absent text is empty. */
export interface ReceivedCheck {
  /** Envoy's TCP peer, if that is an IP socket. */
  peerAddress: string;
  /** The certificate that the client presented to Envoy: URL-encoded PEM. */
  certificate: string;
  /** From Envoy's configuration. Clients cannot set these. Undefined if there are none: an empty map takes 180 bytes. */
  extensions: Map<string, string> | undefined;
  /** Undefined if the CheckRequest describes no HTTP request. */
  http: ReceivedHttp | undefined;
}

export interface ReceivedHttp {
  method: string;
  /** With `?query`, and not percent-decoded. */
  path: string;
  host: string;
  scheme: string;
  /** From `headers`, or from `header_map` if Envoy has `encode_raw_headers`. */
  readonly headers: ReceivedHeaders;
}

/**
 * Decodes the fields that are used, and skips the others. A property test compares it with protobufjs. Throws a RangeError if the
 * message does not decode. As protobuf requires, the last of several texts counts, and several messages are merged.
 */
export function decodeCheckRequest(message: Uint8Array): ReceivedCheck {
  const check: ReceivedCheck = { peerAddress: "", certificate: "", extensions: undefined, http: undefined };
  readMessage(openReader(message), message.length, check, readCheckField);
  return check;
}

/** Tags of length-delimited fields, by their numbers in proto/ext_authz.proto. */
const F1 = 0x0a;
const F2 = 0x12;
const F3 = 0x1a;
const F4 = 0x22;
const F5 = 0x2a;
const F6 = 0x32;
const F10 = 0x52;
const F13 = 0x6a;

function readCheckField(reader: ProtobufReader, tag: number, end: number, check: ReceivedCheck): boolean {
  return tag === F1 && readInner(reader, end, check, readAttributesField);
}

function readAttributesField(
  reader: ProtobufReader,
  tag: number,
  end: number,
  check: ReceivedCheck,
): boolean {
  if (tag === F1) return readInner(reader, end, check, readSourceField);
  if (tag === F4) return readInner(reader, end, check, readRequestField);
  if (tag !== F10) return false;
  const entry = readEntry(reader, end);
  check.extensions ??= new Map();
  check.extensions.set(entry.key, entry.value);
  return true;
}

function readSourceField(reader: ProtobufReader, tag: number, end: number, check: ReceivedCheck): boolean {
  if (tag === F1) return readInner(reader, end, check, readAddressField);
  if (tag !== F5) return false;
  check.certificate = readText(reader, end);
  return true;
}

function readAddressField(reader: ProtobufReader, tag: number, end: number, check: ReceivedCheck): boolean {
  return tag === F1 && readInner(reader, end, check, readSocketAddressField);
}

function readSocketAddressField(
  reader: ProtobufReader,
  tag: number,
  end: number,
  check: ReceivedCheck,
): boolean {
  if (tag !== F2) return false;
  check.peerAddress = readText(reader, end);
  return true;
}

function readRequestField(reader: ProtobufReader, tag: number, end: number, check: ReceivedCheck): boolean {
  if (tag !== F2) return false;
  check.http ??= { method: "", path: "", host: "", scheme: "", headers: createReceivedHeaders() };
  return readInner(reader, end, check.http, readHttpField);
}

function readHttpField(reader: ProtobufReader, tag: number, end: number, http: ReceivedHttp): boolean {
  switch (tag) {
    case F2:
      http.method = readText(reader, end);
      return true;
    case F3:
      // The map has one entry for each name, because Envoy has joined the lines.
      http.headers.joined = true;
      return readHeader(reader, end, http);
    case F4:
      http.path = readText(reader, end);
      return true;
    case F5:
      http.host = readText(reader, end);
      return true;
    case F6:
      http.scheme = readText(reader, end);
      return true;
    case F13:
      return readInner(reader, end, http, readHeaderMapField);
    default:
      return false;
  }
}

function readHeaderMapField(reader: ProtobufReader, tag: number, end: number, http: ReceivedHttp): boolean {
  return tag === F1 && readHeader(reader, end, http);
}

function readHeader(reader: ProtobufReader, end: number, { headers }: ReceivedHttp): true {
  const { key, value, raw } = readEntry(reader, end);
  // Raw bytes stay one character each. A key, a content type or an address is ASCII anyway.
  headers.add(key, raw === "" ? value : raw);
  return true;
}
