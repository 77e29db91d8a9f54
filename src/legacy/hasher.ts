import { createHmac, hash } from "node:crypto";
import type { LegacyForm } from "../core/legacy/ports.ts";
import { couldBeLegacyKey, makeLegacyKey } from "./key-form.ts";

function sha256(text: string): string {
  return hash("sha256", text, "hex");
}

/** V1 keys are stored as HMAC-SHA-256 under a separate secret, so that neither a dump of the store nor guessing reveals a key. */
export function createLegacyForm(
  secrets: readonly [string, ...string[]],
  newRandom: () => string,
): LegacyForm {
  const [current] = secrets;
  const hmac = (secret: string, text: string) =>
    createHmac("sha256", secret).update(text).digest("base64url");
  // A presented key cannot contain a line break, so the two inputs never collide.
  const ofDigest = (secret: string, sha256Hex: string) => hmac(secret, `sha256\n${sha256Hex.toLowerCase()}`);
  return {
    newKey: () => makeLegacyKey(newRandom),
    isPlausible: couldBeLegacyKey,
    storedForm: (key) => ({ hash: hmac(current, key), alias: ofDigest(current, sha256(key)) }),
    hashes(key) {
      const sha256Hex = sha256(key);
      return secrets.flatMap((secret) => [hmac(secret, key), ofDigest(secret, sha256Hex)]);
    },
    hashOfDigest: (sha256Hex) => ofDigest(current, sha256Hex),
  };
}
