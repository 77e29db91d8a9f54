import type { SigningKeysBody } from "../api/admin/signing-keys-route.ts";
import type { NextStep, RotatingKey } from "../core/keys/signing-rotation.ts";
import { rotationOf } from "../core/keys/signing-rotation.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import { keysInUse } from "../jwt/signing-keys.ts";
import type { Stores } from "./ports.ts";
import type { Runtime } from "./runtime.ts";

export interface SigningStatusDeps {
  readonly signingKeys: SigningKeys;
  readonly stores: Pick<Stores, "fleet">;
  readonly policy: () => Pick<Policy, "roles">;
  /** Milliseconds since 1970 by `kid`. */
  readonly keysAddedMs: () => ReadonlyMap<string, number>;
}

/** Returns a function that describes the signing keys of this instance and of its fleet. It never waits for the store. */
export function createSigningStatus(
  { settings, clock }: Pick<Runtime, "settings" | "clock">,
  { signingKeys, stores, policy, keysAddedMs }: SigningStatusDeps,
): () => SigningKeysBody {
  return () => {
    const ring = signingKeys.ring();
    const heartbeats = stores.fleet.instances().map(({ kids }) => kids);
    const instances = heartbeats.length === 0 ? [ring.kids] : heartbeats;
    const longestTtlSeconds = Math.max(
      0,
      ...[...policy().roles.values()].map(({ ttlSeconds }) => ttlSeconds),
    );
    const { keys, next } = rotationOf({
      keys: keysInUse(ring, settings),
      addedAtMs: keysAddedMs(),
      instances,
      longestTtlSeconds,
      nowMs: clock.nowMs(),
    });
    return {
      keys: keys.map(keyBody),
      keys_file: settings.JWT_KEYS_FILE ?? null,
      instances: instances.length,
      longest_ttl_seconds: longestTtlSeconds,
      next: stepBody(next),
    };
  };
}

function keyBody({ key, state, addedAtMs, retireAtMs, acceptedBy, signedBy }: RotatingKey) {
  const { kid, alg, origin, signsFromMs, signedUntilMs } = key;
  return {
    kid,
    alg,
    origin,
    state,
    added_at: timeOf(addedAtMs),
    signs_from: timeOf(signsFromMs),
    signed_until: timeOf(signedUntilMs),
    retire_at: timeOf(retireAtMs),
    accepted_by: acceptedBy,
    signed_by: signedBy,
  };
}

function stepBody({ step, kid, waitsFor, notBeforeMs }: NextStep): SigningKeysBody["next"] {
  return { step, kid: kid ?? null, waits_for: waitsFor ?? null, not_before: timeOf(notBeforeMs) };
}

/** RFC 3339 in whole seconds, rounded up so that a step is never too early. */
function timeOf(ms: number | undefined): string | null {
  return ms === undefined ? null : `${new Date(Math.ceil(ms / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}
