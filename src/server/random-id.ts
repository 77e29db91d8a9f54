import { randomBytes } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/** Larger bytes are skipped, because they would make the first letters likelier. */
const UNBIASED = 256 - (256 % ALPHABET.length);

/** 22 random letters and digits: 130 bits from the system's generator. */
export function randomText(): string {
  let text = "";
  while (text.length < 22) {
    for (const byte of randomBytes(32)) {
      if (byte < UNBIASED && text.length < 22) text += ALPHABET[byte % ALPHABET.length];
    }
  }
  return text;
}
