import { createHash } from "node:crypto";
import type { Closing } from "./closing.ts";
import type { Clock } from "./core/clock.ts";
import { hasThreeParts } from "./core/credential.ts";
import { rememberReuse } from "./core/key-renewal.ts";
import type { KeyVerifier } from "./core/ports.ts";
import type { LegacyForm, Registry } from "./core/registry.ts";
import type { RevocationView } from "./core/revocation-view.ts";
import { sharedSettings } from "./fleet-settings.ts";
import { createLegacyForm } from "./legacy/hasher.ts";
import type { LegacyParts } from "./legacy-parts.ts";
import { createLegacyParts } from "./legacy-parts.ts";
import type { PolicyInForce } from "./policy-in-force.ts";
import { followPhase, followPhases } from "./policy-reload.ts";
import { randomText } from "./random.ts";
import type { Secrets } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import type { SigningParts } from "./signing-parts.ts";
import type { UntilAnswered } from "./start-wait.ts";
import type { Fleet, Stores } from "./stores.ts";
import { openStores } from "./stores.ts";
import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface RegistryOptions {
  readonly settings: Settings;
  readonly policy: PolicyInForce;
  readonly log: Log;
  readonly closing: Closing;
  readonly untilAnswered: UntilAnswered;
}

/** What is asked for before it is there. */
export interface Later {
  legacy?: LegacyParts;
  fleet?: Fleet;
}

interface StoreParts {
  readonly later: Later;
  readonly metrics: Metrics;
  readonly view: RevocationView;
  readonly clock: Clock;
}

/** What was opened in an attempt that failed half-way is closed before the next one. */
export async function openStoresUntilAnswered(
  options: RegistryOptions,
  { later, metrics, view, clock }: StoreParts,
): Promise<Stores> {
  const closing = options.closing.group();
  const attempt = () =>
    openStores({
      ...options,
      closing,
      policy: options.policy.current,
      view,
      clock,
      meter: metrics.store,
      // What is heard before the V1 parts are there is read with them.
      heard: (entry) => later.legacy?.hear(entry),
      missed: async () => later.legacy?.resync(),
      phase: async (stored) => later.legacy?.stored(stored),
    }).catch(async (error: unknown) => {
      await closing.closeAll();
      throw error;
    });
  const stores = await options.untilAnswered(attempt);
  later.fleet = stores.fleet;
  return stores;
}

/** Before the first change of the store: an instance that belongs to another fleet makes none. */
export async function compareWithFleet(
  { settings, log, policy, untilAnswered }: RegistryOptions,
  { stores, secrets, signing, later }: Omit<LegacyOptions, "clock"> & { readonly signing: SigningParts },
): Promise<void> {
  const own = {
    kids: () => signing.keys.ring().kids,
    settings: sharedSettings(settings, secrets),
    joined() {
      if (later.legacy !== undefined) followPhase(later.legacy, policy.current(), log);
    },
  };
  await untilAnswered(() => stores.fleet.compare(own));
}

/** V1 keys, and the phase that they are in. */
export async function openLegacy(options: RegistryOptions, { stores, secrets, later, clock }: LegacyOptions) {
  const form = createLegacyForm(secrets.keyHashSecrets, randomText);
  const parts = createLegacyParts(form, () => stores.keys, clock, options.log);
  later.legacy = parts;
  if (stores.fleet.isStrange()) await options.untilAnswered(() => parts.resync());
  else await options.untilAnswered(() => parts.followPolicy(options.policy.current()));
  followPhases(options, parts);
  return { parts, form };
}

interface LegacyOptions {
  readonly stores: Stores;
  readonly secrets: Secrets;
  readonly later: Later;
  readonly clock: Clock;
}

/** The registry, and what verifies its keys. */
export function joinRegistry(
  { policy }: RegistryOptions,
  { stores, view, signing, legacy, clock }: RegistryParts,
) {
  const { parts, form } = legacy;
  const registry: Registry = {
    store: stores.keys,
    migration: parts.migration,
    legacy: form,
    told: (entry) => {
      if (entry.kind === "legacy" || entry.kind === "phase") parts.hear(entry);
    },
    view,
    signer: signing.signer,
    policy: policy.current,
    nowMs: clock.nowMs,
    storeClock: clock,
    newRandom: randomText,
    digest: (text) => createHash("sha256").update(text).digest("base64url"),
    auditedReuse: rememberReuse(() => performance.now()),
  };
  const verifier: KeyVerifier = {
    verify: (token, nowMs, client) =>
      (hasThreeParts(token) ? signing.verifier : parts.verifier).verify(token, nowMs, client),
    needsStore: (token) => !hasThreeParts(token) && parts.verifier.needsStore?.(token) === true,
  };
  return { registry, verifier };
}

interface RegistryParts {
  readonly stores: Stores;
  readonly view: RevocationView;
  readonly signing: SigningParts;
  readonly clock: Clock;
  readonly legacy: { readonly parts: LegacyParts; readonly form: LegacyForm };
}
