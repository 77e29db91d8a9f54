/** What a server of gRPC looks at in a request's head. */
export interface RequestHead {
  method: string;
  path: string;
  contentType: string | undefined;
  timeout: string | undefined;
  encoding: string | undefined;
  /** Bytes that its body is to have. */
  contentLength: number | undefined;
  /** Set at the end of its block. */
  fault: HeadFault | undefined;
}

/** What is wrong with a header block. */
export type HeadFault = "malformed" | "too_large";

/** The fields of one block so far; the same one serves each block of a connection. */
export interface HeaderValidator {
  readonly maxBytes: number;
  head: RequestHead;
  /** Which of the fields that may come once have come, and whether any that is no pseudo-header has. */
  seen: number;
  bytes: number;
  isMalformed: boolean;
  /** Names that were found to be in order: they come with every request. */
  readonly names: Set<string>;
}

/** What a field counts beyond its name and value (RFC 9113 §6.5.2). It bounds the number of fields, too. */
const FIELD_BYTES = 32;
const MAX_NAMES = 256;
const MAX_NAME_BYTES = 64;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** RFC 9113 §8.2.1. */
const WRONG_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;
/** Of one connection of HTTP/1 (RFC 9113 §8.2.2). */
const CONNECTION_HEADERS = new Set([
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

/** @param maxBytes of a whole header block, counted as RFC 9113 §6.5.2 says */
export function createHeadReading(maxBytes: number): HeaderValidator {
  return { maxBytes, head: emptyHead(), seen: 0, bytes: 0, isMalformed: false, names: new Set() };
}

function emptyHead(): RequestHead {
  return {
    method: "",
    path: "",
    contentType: undefined,
    timeout: undefined,
    encoding: undefined,
    contentLength: undefined,
    fault: undefined,
  };
}

/**
 * Takes the next field of a block. What is used is read strictly (RFC 9113 §8.2 and §8.3): what could be understood in two ways
 * is malformed. The **value of any other field is not judged**: Envoy's tracers and `initial_metadata` copy into the metadata
 * of a Check what a client sent, and no client may have the Check of its request reset.
 */
export function addField(reading: HeaderValidator, name: string, value: string, valueBytes: number): void {
  reading.bytes += name.length + valueBytes + FIELD_BYTES;
  const what = SINGLE.get(name);
  if (what === undefined) {
    reading.seen |= REGULAR;
    // Of a block that is too large only what says which call it is of: a byte of it can stand for a field of kilobytes.
    if (reading.bytes <= reading.maxBytes && !isValidField(reading, name, value)) reading.isMalformed = true;
    return;
  }
  const isPseudo = (what & PSEUDO) !== 0;
  const isOutOfPlace = (reading.seen & (isPseudo ? what | REGULAR : what)) !== 0;
  if (isOutOfPlace || WRONG_VALUE.test(value) || (isPseudo && value === "")) reading.isMalformed = true;
  if (isOutOfPlace) return;
  reading.seen |= isPseudo ? what : what | REGULAR;
  keep(reading, what, value);
}

function keep(reading: HeaderValidator, what: number, value: string): void {
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

function isValidField({ names }: HeaderValidator, name: string, value: string): boolean {
  if (name === "te") return value === "trailers";
  if (names.has(name)) return true;
  if (!FIELD_NAME.test(name) || CONNECTION_HEADERS.has(name)) return false;
  if (names.size < MAX_NAMES && name.length <= MAX_NAME_BYTES) names.add(name);
  return true;
}

/** Whether the block has what only the head of a request has. */
export function isHead({ seen }: HeaderValidator): boolean {
  return (seen & PSEUDO) !== 0;
}

/** The head, at the end of its block. */
export function finishHead(reading: HeaderValidator): RequestHead {
  const { head } = reading;
  head.fault = finish(reading, (reading.seen & NEEDED) === NEEDED);
  return head;
}

/** The same of trailers, of which nothing is used. */
export function finishTrailers(reading: HeaderValidator): HeadFault | undefined {
  return finish(reading, !isHead(reading));
}

function finish(reading: HeaderValidator, isComplete: boolean): HeadFault | undefined {
  const isTooLarge = reading.bytes > reading.maxBytes;
  const isWellFormed = isComplete && !reading.isMalformed;
  reading.head = emptyHead();
  reading.seen = reading.bytes = 0;
  reading.isMalformed = false;
  if (isTooLarge) return "too_large";
  return isWellFormed ? undefined : "malformed";
}
