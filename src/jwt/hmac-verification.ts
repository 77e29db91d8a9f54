import { isUtf8 } from "node:buffer";
import type { KeyObject } from "node:crypto";
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Verification } from "../core/decision/ports.ts";
import type { TokenRejection } from "../core/decision/token-rejection.ts";
import type { JsonObject } from "./json-object.ts";
import { isJsonObject } from "./json-object.ts";
import { rejected, verifyClaims } from "./key-claims.ts";
import type { TokenNames } from "./signer.ts";
import { CLOCK_TOLERANCE_SECONDS } from "./token-form.ts";
import type { TokenHeader } from "./token-header.ts";

const BYTE_ORDER_MARK = "\ufeff";

/** A token whose segments are canonical base64url. */
export interface SplitToken {
  readonly header: TokenHeader;
  readonly payload: string;
  /** Header and payload, as they were signed (RFC 7515 §5.2). */
  readonly signed: string;
  readonly signature: string;
}

/**
 * Verifies an HS256 token (RFC 7518 §3.2) with the same checks as `jwtVerify` of jose, in the same order and with the same
 * causes, but without a promise: WebCrypto's way to a thread and back costs more than the whole verification.
 */
export function verifyByHmac(
  { header, payload, signed, signature }: SplitToken,
  secret: KeyObject,
  names: TokenNames,
  nowMs: number,
): Verification {
  if (!header.isUtf8) return rejected("token_malformed");
  if (header.alg !== "HS256") return rejected("algorithm_not_allowed");
  if (!isSignedBy(secret, signed, signature)) return rejected("signature_wrong");
  const bytes = Buffer.from(payload, "base64url");
  if (!isUtf8(bytes)) return rejected("token_malformed");
  const text = bytes.toString("utf8");
  const hasByteOrderMark = text.startsWith(BYTE_ORDER_MARK);
  const claims = parseObject(hasByteOrderMark ? text.slice(1) : text);
  if (claims === undefined) return rejected("token_malformed");
  const problem = registeredClaimsProblem(claims, names, nowMs);
  if (problem !== undefined) return rejected(problem);
  // jose accepts a byte order mark, and Latchkey does not.
  return verifyClaims(hasByteOrderMark ? undefined : claims, nowMs);
}

function isSignedBy(secret: KeyObject, signedText: string, signature: string): boolean {
  const expected = createHmac("sha256", secret).update(signedText).digest();
  const presented = Buffer.from(signature, "base64url");
  return presented.length === expected.length && timingSafeEqual(presented, expected);
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Checks issuer, audience and `nbf` (RFC 7519 §4.1), and that times are numbers. Presence comes before values, as in jose. */
function registeredClaimsProblem(
  claims: JsonObject,
  { issuer, audience }: TokenNames,
  nowMs: number,
): TokenRejection | undefined {
  const { iss, aud, iat, nbf, exp } = claims;
  if (iss === undefined) return "issuer_unknown";
  if (aud === undefined) return "audience_wrong";
  if (iss !== issuer) return "issuer_unknown";
  if (aud !== audience && !(Array.isArray(aud) && aud.includes(audience))) return "audience_wrong";
  if (!isNumberOrAbsent(iat) || !isNumberOrAbsent(nbf)) return "times_not_accepted";
  if (nbf !== undefined && nbf > Math.floor(nowMs / 1000) + CLOCK_TOLERANCE_SECONDS) return "not_yet_valid";
  return isNumberOrAbsent(exp) ? undefined : "times_not_accepted";
}

function isNumberOrAbsent(value: unknown): value is number | undefined {
  return value === undefined || typeof value === "number";
}
