import type { SecretStore } from "../config/secrets.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import { repeat } from "./repeat.ts";
import type { Shutdown } from "./shutdown.ts";

/** How soon it is known of a key of a changed file where the store did not answer at once. */
const LOOK_EVERY_MS = 60_000;

/** The name under which the store has when a key was first seen: RFC 3339. */
const nameOf = (kid: string) => `signing_key_seen_${kid}`;

export interface KeyAgeOptions {
  readonly signingKeys: SigningKeys;
  readonly secrets: SecretStore;
  /** Whether this instance may write: one whose keys are not the fleet's changes nothing in the store. */
  readonly mayNote: () => boolean;
  readonly metrics: Metrics;
  readonly closing: Shutdown;
}

/**
 * Tells the metrics when each signing key was added: as its file says (`added_at`), else when an instance of this store
 * first had it, which is noted in the store. A store that does not answer is asked again; nothing else waits for it.
 */
export function followKeyAges(options: KeyAgeOptions): void {
  const { signingKeys, metrics, closing } = options;
  const look = async () => metrics.signingKeysAdded(await keysAdded(options));
  const lookNow = () => void look().catch(() => undefined);
  lookNow();
  signingKeys.onReload(lookNow);
  closing.defer(
    "the ages of signing keys",
    repeat(LOOK_EVERY_MS, look, () => undefined),
  );
}

async function keysAdded({
  signingKeys,
  secrets,
  mayNote,
}: KeyAgeOptions): Promise<ReadonlyMap<string, number>> {
  const { kids, addedAtMs } = signingKeys.ring();
  const added = new Map(addedAtMs);
  for (const kid of kids) {
    if (added.has(kid)) continue;
    const seen = mayNote()
      ? (await secrets.getOrCreate(nameOf(kid), new Date().toISOString())).value
      : await keyFirstSeen(kid, secrets);
    const seenMs = Date.parse(seen ?? "");
    if (!Number.isNaN(seenMs)) added.set(kid, seenMs);
  }
  return added;
}

/** When an instance of this store first had the key, RFC 3339; undefined where the store does not know. */
export function keyFirstSeen(kid: string, secrets: Pick<SecretStore, "find">): Promise<string | undefined> {
  return secrets.find(nameOf(kid));
}
