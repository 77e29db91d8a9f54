import { createHmac, randomBytes } from "node:crypto";
import { z } from "zod";

const issued = z.object({
  api_key: z.string(),
  key_id: z.string(),
  role: z.string(),
  scopes: z.array(z.string()),
  expires_at: z.string(),
  refresh_after: z.string(),
});

export type IssuedKey = z.infer<typeof issued>;

export interface RegisterOptions {
  /** An operator's credential. */
  readonly token?: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** Registers a key as a client would. Throws with the response if it is rejected. */
export async function registerKey(
  http: string,
  role = "basic",
  options: RegisterOptions = {},
): Promise<IssuedKey> {
  const response = await fetch(`http://${http}/api/auth/v2/register`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
    },
    body: JSON.stringify({ name: "test", key_type: role, ...options.body }),
  });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`register: ${response.status} ${text}`);
  return issued.parse(JSON.parse(text));
}

/** A secret for one test. */
export function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

type Members = Readonly<Record<string, unknown>>;

/** Splits a token: its header and claims, decoded. */
export function readToken(token: string): { readonly header: Members; readonly claims: Members } {
  const [header = "", claims = ""] = token.split(".");
  return { header: readSegment(header), claims: readSegment(claims) };
}

/** Builds a token by hand, as an attacker would, or a server with another clock or another issuer. */
export function forgeToken(header: Members, claims: Members, secret: string): string {
  const signed = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const members = z.record(z.string(), z.unknown());

function readSegment(segment: string): Members {
  return members.parse(JSON.parse(Buffer.from(segment, "base64url").toString("utf8")));
}
