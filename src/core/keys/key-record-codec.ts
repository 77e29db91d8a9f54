import type { KeyRecord, LegacyPart, Succession } from "./key-record.ts";

/** A record as stores write it: JSON with one-letter names, because Redis may hold a million records. */
interface StoredRecord {
  readonly v: number;
  /** changedAt */
  readonly h?: number;
  /** family */
  readonly f: string;
  /** familyStartedAt */
  readonly b: number;
  /** owner */
  readonly o?: string;
  /** role */
  readonly r: string;
  /** plan */
  readonly p?: string;
  /** scopes, space-separated */
  readonly c: string;
  /** name */
  readonly n: string;
  /** metadata */
  readonly m?: string;
  /** issuedAt */
  readonly i: number;
  /** expiresAt */
  readonly e: number;
  /** refreshAfter */
  readonly a: number;
  /** selfService */
  readonly y?: 1;
  /** ttlSeconds */
  readonly t?: number;
  /** disabled */
  readonly d?: 1;
  /** revokedAt */
  readonly x?: number;
  /** successor: key id, at, notAfter, digest of the Idempotency-Key */
  readonly u?: readonly [string, number, number, string?];
  /** nets, space-separated */
  readonly w?: string;
  /** certificate */
  readonly k?: string;
  /** legacy: hash, alias, migratedAt, successorId; 0 and "" stand for an absent value */
  readonly l?: readonly [string, string, number, string];
}

/** Encodes everything except the key id, under which the record is stored. */
export function encodeRecord(record: KeyRecord): string {
  const { successor } = record;
  const stored: StoredRecord = {
    v: record.version,
    ...(record.changedAt === undefined ? {} : { h: record.changedAt }),
    f: record.family,
    b: record.familyStartedAt,
    ...(record.owner === undefined ? {} : { o: record.owner }),
    r: record.role,
    ...(record.plan === undefined ? {} : { p: record.plan }),
    c: record.scopes.join(" "),
    n: record.name,
    ...(record.metadata === undefined ? {} : { m: record.metadata }),
    i: record.issuedAt,
    e: record.expiresAt,
    a: record.refreshAfter,
    ...(record.selfService ? { y: 1 } : {}),
    ...(record.ttlSeconds === undefined ? {} : { t: record.ttlSeconds }),
    ...(record.disabled ? { d: 1 } : {}),
    ...(record.revokedAt === undefined ? {} : { x: record.revokedAt }),
    ...(successor === undefined ? {} : { u: encodeSuccession(successor) }),
    ...(record.nets === undefined ? {} : { w: record.nets.join(" ") }),
    ...(record.certificate === undefined ? {} : { k: record.certificate }),
    ...(record.legacy === undefined ? {} : { l: encodeLegacy(record.legacy) }),
  };
  return JSON.stringify(stored);
}

function encodeLegacy({ hash, alias = "", migratedAt = 0, successorId = "" }: LegacyPart) {
  return [hash, alias, migratedAt, successorId] as const;
}

function decodeLegacy([hash, alias, migratedAt, successorId]: NonNullable<StoredRecord["l"]>): LegacyPart {
  return {
    hash,
    ...(alias !== "" && { alias }),
    ...(migratedAt !== 0 && { migratedAt }),
    ...(successorId !== "" && { successorId }),
  };
}

function encodeSuccession({ keyId, at, notAfter, idempotency }: Succession): NonNullable<StoredRecord["u"]> {
  return idempotency === undefined ? [keyId, at, notAfter] : [keyId, at, notAfter, idempotency];
}

/** Decodes the text of {@link encodeRecord}. Throws on any other text, because a damaged record must not seem absent. */
export function decodeRecord(keyId: string, text: string): KeyRecord {
  const stored: unknown = JSON.parse(text);
  if (!isStoredRecord(stored)) throw new Error(`the record of ${keyId} is damaged`);
  return {
    keyId,
    family: stored.f,
    familyStartedAt: stored.b,
    ...(stored.o === undefined ? {} : { owner: stored.o }),
    role: stored.r,
    ...(stored.p === undefined ? {} : { plan: stored.p }),
    scopes: stored.c === "" ? [] : stored.c.split(" "),
    name: stored.n,
    ...(stored.m === undefined ? {} : { metadata: stored.m }),
    issuedAt: stored.i,
    expiresAt: stored.e,
    refreshAfter: stored.a,
    selfService: stored.y === 1,
    ...(stored.t === undefined ? {} : { ttlSeconds: stored.t }),
    disabled: stored.d === 1,
    ...(stored.x === undefined ? {} : { revokedAt: stored.x }),
    ...(stored.u === undefined ? {} : { successor: decodeSuccession(stored.u) }),
    ...(stored.w === undefined ? {} : { nets: stored.w.split(" ") }),
    ...(stored.k === undefined ? {} : { certificate: stored.k }),
    ...(stored.l === undefined ? {} : { legacy: decodeLegacy(stored.l) }),
    version: stored.v,
    ...(stored.h === undefined ? {} : { changedAt: stored.h }),
  };
}

/** Decodes a record of which nothing may be lost. Throws also if it has fields of a later version. */
export function decodeWholeRecord(keyId: string, text: string): KeyRecord {
  const record = decodeRecord(keyId, text);
  const unknown = Object.keys(Object(JSON.parse(text))).find((name) => !Object.hasOwn(FORM, name));
  if (unknown !== undefined)
    throw new Error(`the record of ${keyId} was written by a newer Latchkey: use that version for the copy`);
  return record;
}

function decodeSuccession([keyId, at, notAfter, idempotency]: NonNullable<StoredRecord["u"]>): Succession {
  return { keyId, at, notAfter, ...(idempotency === undefined ? {} : { idempotency }) };
}

const FORM: Readonly<Record<keyof StoredRecord, (value: unknown) => boolean>> = {
  v: isNumber,
  h: isOptional(isNumber),
  f: isText,
  b: isNumber,
  o: isOptional(isText),
  r: isText,
  p: isOptional(isText),
  c: isText,
  n: isText,
  m: isOptional(isText),
  i: isNumber,
  e: isNumber,
  a: isNumber,
  y: isOptional(isOne),
  t: isOptional(isNumber),
  d: isOptional(isOne),
  x: isOptional(isNumber),
  u: isOptional(isSuccession),
  w: isOptional(isText),
  k: isOptional(isText),
  l: isOptional(isLegacy),
};

function isStoredRecord(value: unknown): value is StoredRecord {
  if (typeof value !== "object" || value === null) return false;
  const fields = new Map(Object.entries(value));
  return Object.entries(FORM).every(([name, fits]) => fits(fields.get(name)));
}

function isNumber(value: unknown): boolean {
  return Number.isSafeInteger(value);
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isOne(value: unknown): boolean {
  return value === 1;
}

function isLegacy(value: unknown): boolean {
  return (
    Array.isArray(value) && isText(value[0]) && isText(value[1]) && isNumber(value[2]) && isText(value[3])
  );
}

function isSuccession(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    isText(value[0]) &&
    isNumber(value[1]) &&
    isNumber(value[2]) &&
    (value[3] === undefined || isText(value[3]))
  );
}

function isOptional(fits: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => value === undefined || fits(value);
}
