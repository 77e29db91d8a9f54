import { createHash } from "node:crypto";
import type { Secrets } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { Clock } from "../core/clock.ts";
import { hasThreeParts } from "../core/decision/credential.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import { rememberReuse } from "../core/keys/key-renewal.ts";
import type { Registry } from "../core/keys/registry.ts";
import type { LegacyForm } from "../core/legacy/ports.ts";
import type { RevocationView } from "../core/revocation/revocation-view.ts";
import { createLegacyForm } from "../legacy/hasher.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import { sharedSettings } from "./fleet-settings.ts";
import type { LegacyServices } from "./legacy.ts";
import { createLegacyServices } from "./legacy.ts";
import { followMigrationPhase, followPhase } from "./policy-reload.ts";
import { randomText } from "./random-id.ts";
import type { Shutdown } from "./shutdown.ts";
import type { SigningServices } from "./signing.ts";
import type { RetryUntilAvailable } from "./start-wait.ts";
import type { Fleet, Stores } from "./stores.ts";
import { openStores } from "./stores.ts";

export interface RegistryOptions {
  readonly settings: Settings;
  readonly policy: ActivePolicy;
  readonly log: Log;
  readonly closing: Shutdown;
  readonly untilAnswered: RetryUntilAvailable;
}

/** What is asked for before it is there. */
export interface LateBindings {
  legacy?: LegacyServices;
  fleet?: Fleet;
}

interface StoreDeps {
  readonly later: LateBindings;
  readonly metrics: Metrics;
  readonly view: RevocationView;
  readonly clock: Clock;
}

/** What was opened in an attempt that failed half-way is closed before the next one. */
export async function openStoresWithRetry(
  options: RegistryOptions,
  { later, metrics, view, clock }: StoreDeps,
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
      onFeedEntry: (entry) => later.legacy?.onFeedEntry(entry),
      onGap: async () => later.legacy?.resync(),
      phase: async (stored) => later.legacy?.stored(stored),
    }).catch(async (error: unknown) => {
      await closing.run();
      throw error;
    });
  const stores = await options.untilAnswered(attempt);
  later.fleet = stores.fleet;
  return stores;
}

/** Before the first change of the store: an instance that belongs to another fleet makes none. */
export async function compareWithFleet(
  { settings, log, policy, untilAnswered }: RegistryOptions,
  { stores, secrets, signing, later }: Omit<LegacyOptions, "clock"> & { readonly signing: SigningServices },
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
  const parts = createLegacyServices(form, () => stores.keys, clock, options.log);
  later.legacy = parts;
  if (stores.fleet.differsFromFleet()) await options.untilAnswered(() => parts.resync());
  else await options.untilAnswered(() => parts.followPolicy(options.policy.current()));
  followMigrationPhase(options, parts);
  return { parts, form };
}

interface LegacyOptions {
  readonly stores: Stores;
  readonly secrets: Secrets;
  readonly later: LateBindings;
  readonly clock: Clock;
}

/** The registry, and what verifies its keys. */
export function joinRegistry(
  { policy }: RegistryOptions,
  { stores, view, signing, legacy, clock }: RegistryDeps,
) {
  const { parts, form } = legacy;
  const registry: Registry = {
    store: stores.keys,
    migration: parts.migration,
    legacy: form,
    onFeedEntry: (entry) => {
      if (entry.kind === "legacy" || entry.kind === "phase") parts.onFeedEntry(entry);
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

interface RegistryDeps {
  readonly stores: Stores;
  readonly view: RevocationView;
  readonly signing: SigningServices;
  readonly clock: Clock;
  readonly legacy: { readonly parts: LegacyServices; readonly form: LegacyForm };
}
