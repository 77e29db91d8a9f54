import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";

/** What a sealed text is for. One that was sealed for another purpose cannot be opened. */
export type SealPurpose =
  | "session"
  | "link"
  | "holder-session"
  /** A sign-in by OpenID Connect on the way to the provider, and its result on the way to the page. */
  | `${"console" | "keys"}-${"sign-in" | "signed-in"}`;

/** Encrypts and authenticates texts that come back from clients, so that an instance need not keep them. */
export interface Seal {
  seal(purpose: SealPurpose, text: string): string;
  /** Undefined unless an instance with one of the secrets sealed the text for this purpose. */
  open(purpose: SealPurpose, sealed: string): string | undefined;
}

const ALGORITHM = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** @param secrets the current secret of the fleet, then former ones */
export function createSeal(secrets: readonly [string, ...string[]]): Seal {
  const keys = secrets.map((secret) => {
    return Buffer.from(hkdfSync("sha256", secret, "", "latchkey console", 32));
  });
  return {
    seal(purpose, text) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(ALGORITHM, keys[0] ?? "", nonce).setAAD(Buffer.from(purpose));
      const sealed = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
      return sealed.toString("base64url");
    },
    open(purpose, sealed) {
      const bytes = Buffer.from(sealed, "base64url");
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
      for (const key of keys) {
        const text = decrypt(key, purpose, bytes);
        if (text !== undefined) return text;
      }
      return undefined;
    },
  };
}

function decrypt(key: Buffer, purpose: SealPurpose, bytes: Buffer): string | undefined {
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(purpose)).setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    return undefined;
  }
}
