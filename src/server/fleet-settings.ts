import { createHmac } from "node:crypto";
import type { Secrets } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { SharedSettings } from "../redis/kid-exchange.ts";

/**
 * The settings that all instances of a fleet share, beside the signing keys: for each one keyed digests, the current one
 * first. `auditKey` is optional, because a command without an instance seals no audit log.
 */
export function sharedSettings(
  { JWT_ISSUER, JWT_AUDIENCE }: Settings,
  { keyHashSecrets, auditKey }: Pick<Secrets, "keyHashSecrets"> & Partial<Pick<Secrets, "auditKey">>,
): SharedSettings {
  const values: Readonly<Record<string, readonly string[]>> = {
    JWT_ISSUER: [JWT_ISSUER],
    JWT_AUDIENCE: [JWT_AUDIENCE],
    KEY_HASH_SECRET: keyHashSecrets,
    AUDIT_KEY: auditKey === undefined ? [] : [auditKey],
  };
  return new Map(
    Object.entries(values).map(([name, list]) => [name, list.map((value) => settingDigest(name, value))]),
  );
}

/** Keyed by the value itself, as a `kid` is, so that it does not help to guess secrets by their hash. The name makes it useless for another setting. */
function settingDigest(name: string, value: string): string {
  return createHmac("sha256", value).update(`latchkey ${name}`).digest("base64url").slice(0, 16);
}
