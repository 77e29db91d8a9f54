import { isUtf8 } from "node:buffer";
import { z } from "zod";
import { memoize } from "../core/cache/memoize.ts";
import type { SigningAlgorithm } from "./algorithms.ts";
import { SIGNING_ALGORITHMS } from "./algorithms.ts";
import { readSegment } from "./token-form.ts";

/** The header of a token that may be ours. */
export interface TokenHeader {
  readonly alg: SigningAlgorithm;
  readonly kid: string;
  /** JSON is UTF-8 (RFC 8259 §8.1). `JSON.parse` sees only the replacement characters. */
  readonly isUtf8: boolean;
}

const headerSchema = z.strictObject({
  typ: z.literal("JWT"),
  alg: z.enum(SIGNING_ALGORITHMS),
  kid: z.string().min(1).max(64),
});

/**
 * Reads the first segment of a token; undefined if it is not one of ours. All tokens of a signing key have the same header, so
 * most headers are known. The header depends on nothing but its text.
 */
export const readTokenHeader = memoize(64, (segment): TokenHeader | undefined => {
  const parsed = headerSchema.safeParse(readSegment(segment));
  if (!parsed.success) return undefined;
  const { alg, kid } = parsed.data;
  return { alg, kid, isUtf8: isUtf8(Buffer.from(segment, "base64url")) };
});
