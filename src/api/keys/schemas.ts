import { z } from "zod";
import { canonicalNetwork, parseNetwork } from "../../core/keys/ip-network.ts";
import { MAX_KEY_NETS, THUMBPRINT } from "../../core/keys/key-binding.ts";
import { hasAtMostCharacters, MAX_KEY_NAME_CHARACTERS } from "../../core/keys/key-name.ts";
import { isForeignId } from "../../core/policy/issuer.ts";

/** Names appear in tables, headers and log lines: no control characters, line separators or lone surrogates. */
const NAME_FORBIDDEN = /[\p{Cc}\p{Cs}\u2028\u2029]/u;

/** A text for people, of at least one character. */
export function visibleText(maxCharacters: number) {
  return z
    .string()
    .refine(
      (text) => text.length >= 1 && hasAtMostCharacters(text, maxCharacters),
      `must have 1 to ${maxCharacters} characters`,
    )
    .refine((text) => !NAME_FORBIDDEN.test(text), "must not contain control characters");
}

export const keyName = visibleText(MAX_KEY_NAME_CHARACTERS).meta({
  description: "A name for people to read. Latchkey does not verify it.",
  examples: ["my-app"],
});

export const roleName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "must be the name of a role");
export const planName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "must be the name of a plan");
const scopeName = z.string().max(64);
export const OWNER_NAME = /^[A-Za-z0-9_.@/-]{1,128}$/;
export const ownerName = z.string().regex(OWNER_NAME, "must be 1 to 128 letters, digits, and _ . @ / -");

/** Whether a text is the name of an owner, which may be a subject of another issuer. */
export function isOwnerName(text: string): boolean {
  return OWNER_NAME.test(text) || isForeignId(text);
}

/** Latchkey stores metadata as text and returns it. It never acts on it. */
export const metadata = z
  .record(z.string(), z.unknown())
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= 512, "must have at most 512 bytes as JSON")
  .meta({ description: "Stored with the key; at most 512 bytes as JSON." });

const ttlSeconds = z
  .int()
  .min(1)
  .max(34_560_000)
  .meta({ description: "Lifetime in seconds; at most the role's ttl, which is the default." });

const network = z.string().superRefine((text, context) => {
  if (text.length <= 64 && parseNetwork(text) !== undefined) return;
  const canonical = text.length <= 64 ? canonicalNetwork(text) : undefined;
  context.addIssue(
    canonical === undefined
      ? "must be a network such as 192.0.2.0/24 or 2001:db8::/32"
      : `is not in canonical form: write ${canonical}`,
  );
});

const networks = z.array(network).min(1).max(MAX_KEY_NETS).meta({
  description: "Networks (CIDR) from which the key is accepted. By default it is accepted from any address.",
});

export const confirmation = z
  .strictObject({
    "x5t#S256": z.string().regex(THUMBPRINT, "must be a SHA-256 in base64url, without padding"),
  })
  .meta({
    description:
      "The client certificate that must be presented with the key (RFC 8705 §3.1): SHA-256 of its DER, in base64url.",
  });

export const registerBody = z
  .strictObject({
    name: keyName,
    key_type: roleName.meta({ description: "The role.", examples: ["basic"] }),
    metadata: metadata.optional(),
    scopes: z
      .array(scopeName)
      .max(64)
      .optional()
      .meta({ description: "A subset of the role's scopes; all of them by default." }),
    ttl: ttlSeconds.optional(),
    owner: ownerName.optional().meta({ description: "The owner of the key. Only operators may set it." }),
    plan: planName.optional().meta({
      description:
        "The plan of the key and its successors. It requires `limits:write`, and a role that lists the plan in `may_assign_plans`.",
    }),
    addresses: networks.optional(),
    cnf: confirmation.optional(),
  })
  .meta({ title: "Registration" });

/** 8192 characters are longer than any key. A longer value is rejected before it is verified. */
export const possessionBody = z
  .strictObject({ current_key: z.string().min(1).max(8192) })
  .meta({ title: "Possession", description: "Possession of the key is the authorization for this call." });

export const timestamp = z.string().meta({ format: "date-time", examples: ["2027-01-15T12:00:00Z"] });

const keyPlan = z.string().exactOptional().meta({
  description: "The plan that the key was given. Without it the plan or the limits of the role apply.",
});

export const issuedKey = z
  .object({
    api_key: z.string().meta({ description: "The key. Only this response contains it." }),
    key_id: z.string(),
    role: z.string(),
    plan: keyPlan,
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
    plan: keyPlan,
    scopes: z.array(z.string()),
    expires_at: timestamp.nullable().meta({ description: "Null for a V1 key without an expiry." }),
  })
  .meta({ title: "ValidKey" });

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
    plan: keyPlan,
    family: z.string().optional(),
    owner: z.string().optional(),
    addresses: z.array(z.string()).optional(),
    cnf: confirmation.optional(),
  })
  .meta({
    title: "IntrospectionAnswer",
    description:
      "RFC 7662. For a key that is not valid, the response contains `active: false` and nothing else.",
  });
