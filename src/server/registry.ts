import { createHash } from "node:crypto";
import { hasThreeParts } from "../core/decision/credential.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import { rememberReuse } from "../core/keys/key-renewal.ts";
import type { Registry } from "../core/keys/registry.ts";
import type { InstanceView } from "../core/revocation/instance-view.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import type { LegacyServices } from "./legacy.ts";
import type { Stores } from "./ports.ts";
import { randomText } from "./random-id.ts";
import type { Runtime } from "./runtime.ts";
import type { SigningServices } from "./signing.ts";

export interface RegistryDeps {
  readonly stores: Stores;
  readonly view: InstanceView;
  readonly signing: SigningServices;
  readonly legacy: LegacyServices;
  readonly policy: ActivePolicy;
}

/** The registry of this instance. A change applies to its own Checks at once. */
export function createRegistry(
  { clock }: Pick<Runtime, "clock">,
  { stores, view, signing, legacy, policy }: RegistryDeps,
): Registry {
  return {
    store: stores.keys,
    migration: legacy.migration,
    legacy: legacy.form,
    onFeedEntry: (entry) => {
      if (entry.kind === "legacy" || entry.kind === "phase") legacy.onFeedEntry(entry);
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
}

/** Verifies the keys of this fleet: JWTs, and V1 keys. */
export function createFleetVerifier(
  { verifier: jwt }: Pick<SigningServices, "verifier">,
  { verifier: legacy }: Pick<LegacyServices, "verifier">,
): KeyVerifier {
  return {
    verify: (token, nowMs, client) => (hasThreeParts(token) ? jwt : legacy).verify(token, nowMs, client),
    needsStore: (token) => !hasThreeParts(token) && legacy.needsStore?.(token) === true,
  };
}
