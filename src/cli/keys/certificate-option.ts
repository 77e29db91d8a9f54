import { hash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { InvalidArgumentError } from "commander";

/** For `--certificate`: what a key is bound to by a certificate in a PEM file, `x5t#S256` (RFC 8705 §3.1). */
export function toThumbprint(path: string): string {
  try {
    return hash("sha256", new X509Certificate(readFileSync(path)).raw, "base64url");
  } catch {
    throw new InvalidArgumentError("It takes a file with a certificate in PEM.");
  }
}
