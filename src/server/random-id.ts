import { randomBytes } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/** Bytes from here on would make the first letters likelier. */
const UNBIASED = 256 - (256 % ALPHABET.length);

/** 22 letters and digits from the system's generator: 130 bits. */
export function randomText(): string {
  let text = "";
  while (text.length < 22) {
    for (const byte of randomBytes(32)) {
      if (byte < UNBIASED && text.length < 22) text += ALPHABET[byte % ALPHABET.length];
    }
  }
  return text;
}
