import { hash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { InvalidArgumentError } from "commander";

/** Parses `--certificate`: the `x5t#S256` thumbprint (RFC 8705 §3.1) of the certificate in a PEM file. */
export function toThumbprint(path: string): string {
  try {
    return hash("sha256", new X509Certificate(readFileSync(path)).raw, "base64url");
  } catch {
    throw new InvalidArgumentError("It must be a file with a certificate in PEM.");
  }
}
