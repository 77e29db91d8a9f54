import { z } from "zod";
import { NEVER } from "../../core/keys/key-record.ts";
import { isForeignId } from "../../core/policy/issuer.ts";
import { confirmation, networks } from "./binding-schemas.ts";

/** Names stand in tables, headers and log lines: no control characters, no line separators, no halves of a character. */
const NAME_FORBIDDEN = /[\p{Cc}\p{Cs}\u2028\u2029]/u;

export const keyName = z
  .string()
  .refine((text) => [...text].length >= 1 && [...text].length <= 128, "must have 1 to 128 characters")
  .refine((text) => !NAME_FORBIDDEN.test(text), "must not hold control characters")
  .meta({ description: "For people to read; self-asserted.", examples: ["my-app"] });

export const roleName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "must be the name of a role");
const scopeName = z.string().max(64);
export const OWNER_NAME = /^[A-Za-z0-9_.@/-]{1,128}$/;
const ownerName = z
  .string()
  .regex(OWNER_NAME, "must be 1 to 128 letters, digits, and _ . @ / -")
  .meta({ description: "Whom the key belongs to. Operators only." });

/** Metadata is kept as text and given back; it is never acted on. */
const metadata = z
  .record(z.string(), z.unknown())
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= 512, "must have at most 512 bytes as JSON")
  .meta({ description: "Kept with the key, at most 512 bytes as JSON." });

const ttlSeconds = z
  .int()
  .min(1)
  .max(34_560_000)
  .meta({ description: "Seconds; at most the role's ttl, which is the default." });

export const registerBody = z
  .strictObject({
    name: keyName,
    key_type: roleName.meta({ description: "The role.", examples: ["basic"] }),
    metadata: metadata.optional(),
    scopes: z
      .array(scopeName)
      .max(64)
      .optional()
      .meta({ description: "A part of the role's; all of them by default." }),
    ttl: ttlSeconds.optional(),
    owner: ownerName.optional(),
    addresses: networks.optional(),
    cnf: confirmation.optional(),
  })
  .meta({ title: "Registration" });

/** Longer than any key: what is longer is refused before it is looked at. */
export const possessionBody = z
  .strictObject({ current_key: z.string().min(1).max(8192) })
  .meta({ title: "Possession", description: "Whoever shows the key may act on it." });

const timestamp = z.string().meta({ format: "date-time", examples: ["2027-01-15T12:00:00Z"] });

export const issuedKey = z
  .object({
    api_key: z.string().meta({ description: "The key. It is shown in this answer only." }),
    key_id: z.string(),
    role: z.string(),
    scopes: z.array(z.string()),
    expires_at: timestamp,
    refresh_after: timestamp,
  })
  .meta({ title: "IssuedKey" });

export const validKey = z
  .object({
    valid: z.literal(true),
    key_id: z.string(),
    role: z.string(),
    scopes: z.array(z.string()),
    expires_at: timestamp.nullable().meta({ description: "Null for a V1 key without an end." }),
  })
  .meta({ title: "ValidKey" });

export const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  })
  .meta({ title: "Problem", description: "RFC 9457." });

const instant = z.iso.datetime({ offset: true }).transform((text) => Math.floor(Date.parse(text) / 1000));

export const listQuery = z
  .strictObject({
    role: roleName.optional(),
    owner: ownerName.optional(),
    family: z.string().max(128).optional(),
    status: z.enum(["active", "superseded", "disabled", "revoked", "expired"]).optional(),
    name_prefix: z.string().max(128).optional(),
    expiring_before: instant.optional(),
    cursor: z.string().max(64).optional(),
    limit: z
      .string()
      .regex(/^\d{1,4}$/, "must be a whole number")
      .transform(Number)
      .pipe(z.int().min(1).max(500))
      .optional(),
  })
  .meta({ title: "KeyFilter" });

export const revokeQuery = z
  .strictObject({
    without_record: z
      .enum(["true", "false"])
      .transform((text) => text === "true")
      .optional(),
  })
  .meta({ title: "RevokeQuery" });

export const patchBody = z
  .strictObject({
    name: keyName.optional(),
    metadata: metadata.nullable().optional(),
    disabled: z.boolean().optional(),
  })
  .meta({ title: "KeyPatch", description: "What is left out stays. `metadata: null` removes it." });

/** `iat` is in whole seconds: a key of the second that has begun was issued before too. */
const cutOffMoment = z.iso.datetime({ offset: true }).transform((text) => Math.ceil(Date.parse(text) / 1000));

export const cutOffBody = z
  .strictObject({
    before: cutOffMoment.meta({ description: "Keys issued before this moment end; at most now." }),
    role: z.string().max(64).optional(),
    owner: z
      .string()
      .refine((text) => OWNER_NAME.test(text) || isForeignId(text), "is not the name of an owner")
      .optional(),
  })
  .refine(({ role, owner }) => role === undefined || owner === undefined, {
    message: "give a role or an owner, not both",
    path: ["owner"],
  })
  .meta({ title: "CutOff", description: "Without role and owner: every key." });

export const rotateBody = z
  .strictObject({
    overlap: z
      .int()
      .min(0)
      .max(34_560_000)
      .optional()
      .meta({ description: "Seconds that the old key stays good; the role's by default." }),
  })
  .meta({ title: "Rotation" });

export const introspectBody = z
  .strictObject({ token: z.string().min(1).max(65_536), token_type_hint: z.string().optional() })
  .meta({ title: "Introspection" });

export const introspection = z
  .object({
    active: z.boolean(),
    scope: z.string().optional(),
    username: z.string().optional(),
    token_type: z.string().optional(),
    exp: z.int().optional(),
    iat: z.int().optional(),
    nbf: z.int().optional(),
    sub: z.string().optional(),
    aud: z.string().optional(),
    iss: z.string().optional(),
    jti: z.string().optional(),
    role: z.string().optional(),
    family: z.string().optional(),
    owner: z.string().optional(),
    addresses: z.array(z.string()).optional(),
    cnf: confirmation.optional(),
  })
  .meta({
    title: "IntrospectionAnswer",
    description: "RFC 7662: of a key that is not good, only that it is not active.",
  });

export const keyResponse = z
  .object({
    key_id: z.string(),
    family: z.string(),
    owner: z.string().nullable(),
    role: z.string(),
    scopes: z.array(z.string()),
    name: z.string(),
    metadata: z.record(z.string(), z.unknown()).nullable(),
    status: z.enum(["active", "superseded", "disabled", "revoked", "expired"]),
    self_service: z.boolean(),
    legacy: z.boolean().meta({ description: "An opaque (V1) key." }),
    migrated_at: timestamp
      .nullable()
      .meta({ description: "When a V1 key was first exchanged for a V2 key." }),
    issued_at: timestamp,
    expires_at: timestamp.nullable(),
    refresh_after: timestamp.nullable(),
    superseded_by: z.string().nullable(),
    superseded_from: timestamp.nullable(),
    revoked_at: timestamp.nullable(),
    last_used_at: timestamp.nullable(),
    addresses: z.array(z.string()).nullable().meta({ description: "Null: it is taken from anywhere." }),
    cnf: confirmation.nullable(),
  })
  .meta({ title: "Key", description: "A key's record. It never holds the key." });

export const keyListResponse = z
  .object({ keys: z.array(keyResponse), next_cursor: z.string().nullable() })
  .meta({
    title: "KeyList",
    description: "Go on with `next_cursor` until it is null: a page may be short, even empty, before.",
  });

export const limitsResponse = z
  .object({
    key_id: z.string(),
    limits: z.array(
      z.object({
        name: z.string(),
        per: z.enum(["key", "owner", "role"]),
        capacity: z.int(),
        refill_per_second: z.number(),
        tokens: z.number().meta({ description: "What nobody has taken." }),
        leased_tokens: z.int().meta({ description: "What instances hold ahead of need." }),
      }),
    ),
  })
  .meta({ title: "Limits" });

export const jwkSetResponse = z
  .object({ keys: z.array(z.record(z.string(), z.string())) })
  .meta({ title: "JwkSet", description: "RFC 7517, public members only." });

/** A NumericDate as the API writes times: whole seconds in UTC. */
export function formatTime(numericDate: number): string {
  return new Date(numericDate * 1000).toISOString().replace(".000Z", "Z");
}

/** The same for a moment that may never come: null then. */
export function formatEnd(numericDate: number): string | null {
  return numericDate >= NEVER ? null : formatTime(numericDate);
}
