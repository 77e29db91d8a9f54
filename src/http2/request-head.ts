/** The head of a request. The same record serves all requests of a connection, so it is valid only while one is opened. */
export interface RequestHead {
  method: string;
  path: string;
  /** Bytes of the body. */
  contentLength: number | undefined;
  /** The values of the single fields that the server was given, in that order. */
  readonly fields: (string | undefined)[];
  fault: HeadFault | undefined;
}

/** The error of a header block. */
export type HeadFault = "malformed" | "too_large";

/** Fields that may occur once in a header block, by name. */
export type SingleFields = ReadonlyMap<string, SingleField>;

interface SingleField {
  readonly bit: number;
  /** Place in `RequestHead.fields`; -1 for the fields that HTTP/2 itself needs. */
  readonly index: number;
}

/** Validates one header block at a time. */
export interface HeaderValidator {
  readonly maxBytes: number;
  readonly singleFields: SingleFields;
  readonly head: RequestHead;
  /** Bits of the single fields that have occurred, and REGULAR after the first field that is no pseudo-header field. */
  seenBits: number;
  bytes: number;
  isMalformed: boolean;
  /** Names that were found valid. Requests repeat them. */
  readonly validNames: Set<string>;
  /** The last path that was found valid. */
  validPath: string;
}

/** What a field counts beyond its name and value (RFC 9113 §6.5.2). This limits the number of fields as well. */
const FIELD_BYTES = 32;
const MAX_VALID_NAMES = 256;
const MAX_NAME_BYTES = 64;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** RFC 9113 §8.2.1. */
const INVALID_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;
/** Connection-specific fields of HTTP/1, which are malformed in HTTP/2 (RFC 9113 §8.2.2). */
const CONNECTION_HEADERS = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);
/** A token, but no CONNECT: this server opens no tunnels, and a CONNECT with a path is malformed (RFC 9113 §8.5). */
const METHOD_VALUE = /^(?!CONNECT$)[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9113 §8.3.1. A space or a byte beyond ASCII is in no URI. */
const PATH_VALUE = /^(?:\/[\x21-\x7e]*|\*)$/;
const CONTENT_LENGTH_VALUE = /^\d{1,15}$/;

const [METHOD, PATH, SCHEME, AUTHORITY, CONTENT_LENGTH, REGULAR, FIRST_FURTHER_BIT] = [
  1, 2, 4, 8, 16, 32, 64,
] as const;
const REQUIRED = METHOD | PATH | SCHEME;
const PSEUDO = REQUIRED | AUTHORITY;

const HTTP2_FIELDS: readonly (readonly [name: string, field: SingleField])[] = [
  [":method", { bit: METHOD, index: -1 }],
  [":path", { bit: PATH, index: -1 }],
  [":scheme", { bit: SCHEME, index: -1 }],
  [":authority", { bit: AUTHORITY, index: -1 }],
  ["content-length", { bit: CONTENT_LENGTH, index: -1 }],
];

/** @param names further fields that may occur once, and whose values the server reads: at most 20 */
export function createSingleFields(names: readonly string[]): SingleFields {
  const further = names.map((name, index) => [name, { bit: FIRST_FURTHER_BIT << index, index }] as const);
  return new Map([...HTTP2_FIELDS, ...further]);
}

/** @param maxBytes maximum size of a header block, counted as in RFC 9113 §6.5.2 */
export function createHeaderValidator(maxBytes: number, singleFields: SingleFields): HeaderValidator {
  const fields = Array.from({ length: singleFields.size - HTTP2_FIELDS.length }, () => undefined);
  const head = { method: "", path: "", contentLength: undefined, fields, fault: undefined };
  const validNames = new Set<string>();
  return {
    maxBytes,
    singleFields,
    head,
    seenBits: 0,
    bytes: 0,
    isMalformed: false,
    validNames,
    validPath: "",
  };
}

/** Prepares the validator for the next header block. The values in the head stay: requests of a connection repeat most of them. */
export function resetValidator(validator: HeaderValidator): void {
  validator.seenBits = validator.bytes = 0;
  validator.isMalformed = false;
}

/**
 * Adds the next field of a block. Fields that the server reads are validated strictly (RFC 9113 §8.2 and §8.3): whatever has
 * two readings is malformed. The **value of any other field is not validated**: the tracers and `initial_metadata` of Envoy
 * copy text of Envoy's clients into such fields, and no such client may cause a reset of a request of Envoy.
 */
export function addField(validator: HeaderValidator, name: string, value: string, valueBytes: number): void {
  validator.bytes += name.length + valueBytes + FIELD_BYTES;
  const single = validator.singleFields.get(name);
  if (single === undefined) {
    validator.seenBits |= REGULAR;
    // In a block that is too large only the fields above count: one byte of it can stand for a field of kilobytes.
    if (validator.bytes <= validator.maxBytes && !isValidField(validator, name, value))
      validator.isMalformed = true;
    return;
  }
  const { bit } = single;
  const isPseudo = (bit & PSEUDO) !== 0;
  const isOutOfPlace = (validator.seenBits & (isPseudo ? bit | REGULAR : bit)) !== 0;
  if (isOutOfPlace || INVALID_VALUE.test(value) || (isPseudo && value === "")) validator.isMalformed = true;
  if (isOutOfPlace) return;
  validator.seenBits |= isPseudo ? bit : bit | REGULAR;
  storeField(validator, single, value);
}

function storeField(validator: HeaderValidator, { bit, index }: SingleField, value: string): void {
  const { head } = validator;
  // A comparison is cheaper than a store into an old object, which the garbage collector has to track.
  if (index >= 0) {
    if (head.fields[index] !== value) head.fields[index] = value;
  } else if (bit === METHOD) {
    if (head.method !== value) head.method = value;
    if (value !== "POST" && !METHOD_VALUE.test(value)) validator.isMalformed = true;
  } else if (bit === PATH) {
    if (head.path !== value) head.path = value;
    if (value === validator.validPath) return;
    if (PATH_VALUE.test(value)) validator.validPath = value;
    else validator.isMalformed = true;
  } else if (bit === CONTENT_LENGTH) {
    head.contentLength = Number(value);
    if (!CONTENT_LENGTH_VALUE.test(value)) validator.isMalformed = true;
  }
}

function isValidField({ validNames }: HeaderValidator, name: string, value: string): boolean {
  if (name === "te") return value === "trailers";
  if (validNames.has(name)) return true;
  if (!FIELD_NAME.test(name) || CONNECTION_HEADERS.has(name)) return false;
  if (validNames.size < MAX_VALID_NAMES && name.length <= MAX_NAME_BYTES) validNames.add(name);
  return true;
}

/** Whether the block has a pseudo-header field, which only the head of a request may have. */
export function hasPseudoField({ seenBits }: HeaderValidator): boolean {
  return (seenBits & PSEUDO) !== 0;
}

/** The request head, at the end of its block. */
export function finishHead(validator: HeaderValidator): RequestHead {
  const { head, seenBits } = validator;
  head.fault = faultOf(validator, (seenBits & REQUIRED) === REQUIRED);
  // Clears the values that an earlier request has left.
  if ((seenBits & METHOD) === 0) head.method = "";
  if ((seenBits & PATH) === 0) head.path = "";
  if ((seenBits & CONTENT_LENGTH) === 0) head.contentLength = undefined;
  const { fields } = head;
  for (let index = 0; index < fields.length; index++)
    if ((seenBits & (FIRST_FURTHER_BIT << index)) === 0) fields[index] = undefined;
  return head;
}

/** The error of a trailer block, if any. Their values are not used. */
export function trailersFault(validator: HeaderValidator): HeadFault | undefined {
  return faultOf(validator, !hasPseudoField(validator));
}

function faultOf(validator: HeaderValidator, isComplete: boolean): HeadFault | undefined {
  if (validator.bytes > validator.maxBytes) return "too_large";
  return isComplete && !validator.isMalformed ? undefined : "malformed";
}
