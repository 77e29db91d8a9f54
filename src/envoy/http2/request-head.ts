/** What a server of gRPC looks at in a request's head. */
export interface RequestHead {
  method: string;
  path: string;
  contentType: string | undefined;
  timeout: string | undefined;
  encoding: string | undefined;
  /** Bytes that its body is to have. */
  contentLength: number | undefined;
}

/** What is wrong with a header block. */
export type HeadFault = "malformed" | "too_large";

/** The fields of one block so far; the same one serves each block of a connection. */
export interface HeadReading {
  head: RequestHead;
  /** Which of the fields that may come once have come, and whether any that is no pseudo-header has. */
  seen: number;
  bytes: number;
  fields: number;
  isMalformed: boolean;
  /** Names that were found to be in order: they come with every request. */
  readonly names: Set<string>;
}

/** RFC 9113 §6.5.2: names and values, and 32 bytes more for each field. */
export const MAX_HEAD_BYTES = 16 * 1024;
const FIELD_BYTES = 32;
const MAX_FIELDS = 64;
const MAX_NAMES = 256;
const MAX_NAME_BYTES = 64;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** RFC 9113 §8.2.1. */
const WRONG_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;
/** Of one connection of HTTP/1 (RFC 9113 §8.2.2). */
const OF_A_CONNECTION = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);
const LENGTH = /^\d{1,15}$/;

const [METHOD, PATH, SCHEME, AUTHORITY, TYPE, TIMEOUT, ENCODING, CONTENT_LENGTH, REGULAR] = [
  1, 2, 4, 8, 16, 32, 64, 128, 256,
] as const;
const NEEDED = METHOD | PATH | SCHEME;
const PSEUDO = NEEDED | AUTHORITY;
/** Fields that may come once. */
const SINGLE = new Map<string, number>([
  [":method", METHOD],
  [":path", PATH],
  [":scheme", SCHEME],
  [":authority", AUTHORITY],
  ["content-type", TYPE],
  ["grpc-timeout", TIMEOUT],
  ["grpc-encoding", ENCODING],
  ["content-length", CONTENT_LENGTH],
]);

export function createHeadReading(): HeadReading {
  return { head: emptyHead(), seen: 0, bytes: 0, fields: 0, isMalformed: false, names: new Set() };
}

function emptyHead(): RequestHead {
  return {
    method: "",
    path: "",
    contentType: undefined,
    timeout: undefined,
    encoding: undefined,
    contentLength: undefined,
  };
}

/** Takes the next field of a block, by RFC 9113 §8.2 and 8.3: what could be understood in two ways is malformed. */
export function readField(reading: HeadReading, name: string, value: string): void {
  reading.bytes += name.length + value.length + FIELD_BYTES;
  reading.fields++;
  // It is refused for that, whatever else comes: a byte of the block can stand for a field of kilobytes.
  if (isTooLarge(reading)) return;
  if (WRONG_VALUE.test(value)) reading.isMalformed = true;
  const what = SINGLE.get(name);
  if (what === undefined) {
    reading.seen |= REGULAR;
    if (!isInOrder(reading, name, value)) reading.isMalformed = true;
    return;
  }
  const isPseudo = (what & PSEUDO) !== 0;
  if (reading.seen & (isPseudo ? what | REGULAR : what) || (isPseudo && value === ""))
    reading.isMalformed = true;
  reading.seen |= isPseudo ? what : what | REGULAR;
  keep(reading, what, value);
}

function isTooLarge({ bytes, fields }: HeadReading): boolean {
  return bytes > MAX_HEAD_BYTES || fields > MAX_FIELDS;
}

function keep(reading: HeadReading, what: number, value: string): void {
  const { head } = reading;
  if (what === METHOD) head.method = value;
  else if (what === PATH) head.path = value;
  else if (what === TYPE) head.contentType = value;
  else if (what === TIMEOUT) head.timeout = value;
  else if (what === ENCODING) head.encoding = value;
  else if (what === CONTENT_LENGTH) {
    head.contentLength = Number(value);
    if (!LENGTH.test(value)) reading.isMalformed = true;
  }
}

function isInOrder({ names }: HeadReading, name: string, value: string): boolean {
  if (name === "te") return value === "trailers";
  if (names.has(name)) return true;
  if (!FIELD_NAME.test(name) || OF_A_CONNECTION.has(name)) return false;
  if (names.size < MAX_NAMES && name.length <= MAX_NAME_BYTES) names.add(name);
  return true;
}

/** Whether the block has what only the head of a request has. */
export function isHead({ seen }: HeadReading): boolean {
  return (seen & PSEUDO) !== 0;
}

/** The head, at the end of its block. */
export function finishHead(reading: HeadReading): RequestHead | HeadFault {
  const { head } = reading;
  return finish(reading, (reading.seen & NEEDED) === NEEDED) ?? head;
}

/** The same of trailers, of which nothing is used. */
export function finishTrailers(reading: HeadReading): HeadFault | undefined {
  return finish(reading, !isHead(reading));
}

function finish(reading: HeadReading, isComplete: boolean): HeadFault | undefined {
  const tooLarge = isTooLarge(reading);
  const isWellFormed = isComplete && !reading.isMalformed;
  reading.head = emptyHead();
  reading.seen = reading.bytes = reading.fields = 0;
  reading.isMalformed = false;
  if (tooLarge) return "too_large";
  return isWellFormed ? undefined : "malformed";
}
