import { createHmac } from "node:crypto";
import type { Secrets } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import type { SharedSettings } from "../redis/kid-exchange.ts";
import { createDecisionRates } from "./decision-rates.ts";
import type { LegacyServices } from "./legacy.ts";
import type { Stores } from "./ports.ts";
import type { Runtime } from "./runtime.ts";
import type { SigningServices } from "./signing.ts";
import type { RetryUntilAvailable } from "./start-wait.ts";

export interface ComparisonDeps {
  readonly stores: Pick<Stores, "fleet">;
  readonly secrets: Secrets;
  readonly signing: Pick<SigningServices, "keys">;
  readonly legacy: Pick<LegacyServices, "phase" | "migration">;
  readonly policy: ActivePolicy;
  readonly version: string;
  readonly retry: RetryUntilAvailable;
}

/** Compares the shared settings with the other instances, now and from now on. An instance that joins its fleet later applies the policy's phase then. */
export async function compareWithFleet(
  { settings, metrics }: Pick<Runtime, "settings" | "metrics">,
  { stores, secrets, signing, legacy, policy, version, retry }: ComparisonDeps,
): Promise<void> {
  const rates = createDecisionRates(metrics.decisionTotals);
  const own = {
    kids: () => signing.keys.ring().kids,
    settings: sharedSettings(settings, secrets),
    facts() {
      const { allowed, denied } = rates();
      return {
        version,
        phase: legacy.migration.state().phase,
        allowed: allowed.toFixed(2),
        denied: denied.toFixed(2),
      };
    },
    onJoin: () => legacy.phase.followPolicy(policy.current()),
  };
  await retry(() => stores.fleet.compare(own));
}

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
