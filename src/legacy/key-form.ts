import { crc32 } from "node:zlib";
import { hasThreeParts } from "../core/decision/credential.ts";

/** The prefix lets secret scanners find leaked keys. */
export const LEGACY_PREFIX = "lk1_";
const SECRET_LENGTH = 32;
const CHECKSUM_LENGTH = 6;
const FORM = /^lk1_[A-Za-z0-9]{38}$/;
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** An opaque key: prefix, 32 letters and digits (190 random bits), and a checksum that detects a typo without a lookup. */
export function makeLegacyKey(newRandom: () => string): string {
  let secret = "";
  while (secret.length < SECRET_LENGTH) secret += newRandom();
  const body = LEGACY_PREFIX + secret.slice(0, SECRET_LENGTH);
  return body + checksum(body);
}

/**
 * Whether a text may be a V1 key: one of ours with a valid checksum, or, because imported keys have any form, anything
 * that is neither a JWT nor starts with our prefix.
 */
export function couldBeLegacyKey(key: string): boolean {
  if (!key.startsWith(LEGACY_PREFIX)) return key.length >= 8 && key.length <= 512 && !hasThreeParts(key);
  return FORM.test(key) && key.endsWith(checksum(key.slice(0, -CHECKSUM_LENGTH)));
}

function checksum(text: string): string {
  let number = crc32(text);
  let digits = "";
  for (let place = 0; place < CHECKSUM_LENGTH; place++) {
    digits = (DIGITS[number % DIGITS.length] ?? "0") + digits;
    number = Math.floor(number / DIGITS.length);
  }
  return digits;
}
