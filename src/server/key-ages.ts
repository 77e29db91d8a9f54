import type { SecretStore } from "../config/secrets.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import type { Stores } from "./ports.ts";
import { repeat } from "./repeat.ts";
import type { Runtime } from "./runtime.ts";

/** Retry interval while the store does not respond. */
const LOOK_UP_EVERY_MS = 60_000;

/** The name under which the store keeps when a key was first seen (RFC 3339). */
const nameOf = (kid: string) => `signing_key_seen_${kid}`;

export interface KeyAgeDeps {
  readonly signingKeys: SigningKeys;
  readonly stores: Pick<Stores, "secrets" | "fleet">;
}

/**
 * Reports to the metrics when each signing key was added. This is the file's `added_at`, or the time at which an instance of
 * this store first had the key, which the store keeps. Look-ups are retried, and no other module waits for them.
 * Returns what is known so far: milliseconds since 1970 by `kid`.
 */
export function followKeyAges(
  { metrics, shutdown }: Runtime,
  deps: KeyAgeDeps,
): () => ReadonlyMap<string, number> {
  let added: ReadonlyMap<string, number> = new Map();
  const lookUp = async () => {
    added = await keysAdded(deps);
    metrics.signingKeysAdded(added);
  };
  const lookUpNow = () => void lookUp().catch(() => undefined);
  lookUpNow();
  deps.signingKeys.onReload(lookUpNow);
  const stop = repeat(LOOK_UP_EVERY_MS, lookUp, () => undefined);
  shutdown.defer("the ages of signing keys", stop);
  return () => added;
}

async function keysAdded({
  signingKeys,
  stores: { secrets, fleet },
}: KeyAgeDeps): Promise<ReadonlyMap<string, number>> {
  const added = new Map<string, number>();
  for (const { kid, addedAtMs } of signingKeys.ring().facts) {
    if (addedAtMs !== undefined) {
      added.set(kid, addedAtMs);
      continue;
    }
    // An instance of another fleet changes nothing in the store.
    const seen = fleet.differsFromFleet()
      ? await keyFirstSeen(kid, secrets)
      : (await secrets.getOrCreate(nameOf(kid), new Date().toISOString())).value;
    const seenMs = Date.parse(seen ?? "");
    if (!Number.isNaN(seenMs)) added.set(kid, seenMs);
  }
  return added;
}

/** When an instance of this store first had the key (RFC 3339); undefined if the store does not know. */
export function keyFirstSeen(kid: string, secrets: Pick<SecretStore, "find">): Promise<string | undefined> {
  return secrets.find(nameOf(kid));
}
