import { z } from "zod";

/** Names stand in tables, headers and log lines: no control characters, no line separators, no halves of a character. */
const NAME_FORBIDDEN = /[\p{Cc}\p{Cs}\u2028\u2029]/u;

const keyName = z
  .string()
  .refine((text) => [...text].length >= 1 && [...text].length <= 128, "must have 1 to 128 characters")
  .refine((text) => !NAME_FORBIDDEN.test(text), "must not hold control characters")
  .meta({ description: "For people to read; self-asserted.", examples: ["my-app"] });

const roleName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "must be the name of a role");
const scopeName = z.string().max(64);
const ownerName = z
  .string()
  .regex(/^[A-Za-z0-9_.@/-]{1,128}$/, "must be 1 to 128 letters, digits, and _ . @ / -")
  .meta({ description: "Whom the key belongs to. Operators only." });

/** Metadata is kept as text and given back; it is never acted on. */
const metadata = z
  .record(z.string(), z.json())
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
  })
  .meta({ id: "Registration" });

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
  .meta({ id: "IssuedKey" });

export const validKey = z
  .object({
    valid: z.literal(true),
    key_id: z.string(),
    role: z.string(),
    scopes: z.array(z.string()),
    expires_at: timestamp,
  })
  .meta({ id: "ValidKey" });

export const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457." });

/** A NumericDate as the API writes times: whole seconds in UTC. */
export function formatTime(numericDate: number): string {
  return new Date(numericDate * 1000).toISOString().replace(".000Z", "Z");
}
