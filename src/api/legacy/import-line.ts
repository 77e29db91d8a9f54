import { z } from "zod";
import { hasThreeParts } from "../../core/decision/credential.ts";
import { describeFieldNames } from "../../core/legacy/field-name.ts";
import type { LegacyEntry } from "../../core/legacy/import-entry.ts";
import { parseStrictJson } from "../http/json-body.ts";
import { keyName, roleName } from "../keys/schemas.ts";

const instant = z.iso.datetime({ offset: true }).transform((text) => Math.floor(Date.parse(text) / 1000));

const importLine = z
  .strictObject({
    api_key: z
      .string()
      .regex(/^[A-Za-z0-9\-._~+/]{8,512}=*$/, "has a form that a request cannot carry")
      .refine((key) => !hasThreeParts(key), "looks like a JWT")
      .optional(),
    api_key_hash: z
      .string()
      .regex(/^[0-9A-Fa-f]{64}$/, "is not a SHA-256 in hex")
      .optional(),
    name: keyName.default("imported"),
    role: roleName,
    owner: z
      .string()
      .regex(/^[A-Za-z0-9_.@/-]{1,128}$/, "is not the name of an owner")
      .optional(),
    created_at: instant.optional(),
    expires_at: instant.optional(),
  })
  .refine((line) => (line.api_key === undefined) !== (line.api_key_hash === undefined), {
    message: "needs api_key or api_key_hash, exactly one of them",
  });

/** Parses one line of NDJSON. Returns why it is rejected as one line of text, which never contains the key. */
export function parseImportLine(text: string, line: number): LegacyEntry | string {
  const json = parseStrictJson(text);
  if (!json.ok) return json.fault;
  const parsed = importLine.safeParse(json.value);
  if (!parsed.success) {
    return parsed.error.issues
      .map((issue) => [issue.path.join("."), describeIssue(issue)].filter((part) => part !== "").join(": "))
      .join("; ");
  }
  const { api_key, api_key_hash, name, role, owner, created_at, expires_at } = parsed.data;
  return {
    line,
    name,
    role,
    ...(api_key !== undefined && { key: api_key }),
    ...(api_key_hash !== undefined && { sha256Hex: api_key_hash }),
    ...(owner !== undefined && { owner }),
    ...(created_at !== undefined && { createdAt: created_at }),
    ...(expires_at !== undefined && { expiresAt: expires_at }),
  };
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code !== "unrecognized_keys") return issue.message;
  return `unknown fields: ${describeFieldNames(issue.keys)}`;
}
