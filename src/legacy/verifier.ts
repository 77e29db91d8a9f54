import { createBudget } from "../core/budget.ts";
import type { Eventual } from "../core/eventual.ts";
import type { KeyRecord, LegacyPart } from "../core/key-record.ts";
import type { KeyVerifier, Verification } from "../core/ports.ts";
import type { Principal } from "../core/principal.ts";
import { createRecent } from "../core/recent.ts";
import type { LegacyForm } from "../core/registry.ts";
import { couldBeLegacyKey } from "./key-form.ts";

/** A key that was not there may have been imported since. */
const UNKNOWN_FOR_MS = 10_000;
/** A look-up that the store does not answer is not tried again by everybody at once. */
const MISSES = { capacity: 400, refillPerSecond: 200 };

const INVALID: Verification = {
  ok: false,
  reason: "credential_invalid",
  refused: { cause: "opaque_unknown" },
};
const UNAVAILABLE: Verification = { ok: false, reason: "credential_unavailable" };

export interface LegacyVerifierOptions {
  readonly form: LegacyForm;
  /** The V1 key with one of these hashes; rejects when the store does not answer. */
  readonly find: (hashes: readonly string[]) => Promise<KeyRecord | undefined>;
  /** Hears of a key that is kept under another hash than it should be. */
  readonly outdated: (record: KeyRecord, kept: LegacyPart) => void;
  readonly monotonicMs: () => number;
  readonly cacheSize: number;
}

export interface LegacyVerifier extends KeyVerifier {
  /** Forgets keys of which something has changed; without any, that some were not there. */
  forget(keyIds: readonly string[]): void;
  /**
   * Something may have changed unheard: each known key is looked up once more when it is next used. Until that is answered
   * it is taken as it was, for all of them would come at once; and one that a store has lost stays known here.
   */
  distrust(): void;
}

type Known =
  /** As the store had it after so many of {@link LegacyVerifier.distrust}. */
  { readonly principal: Principal; readonly trust: number } | { readonly unknownUntilMs: number };

/**
 * Verifies V1 keys by their hash. A warm key costs no store access; unknown ones are remembered too, each is looked up
 * once at a time, and look-ups have a budget, so that garbage cannot reach the store.
 */
export function createLegacyVerifier(options: LegacyVerifierOptions): LegacyVerifier {
  const mayMiss = createBudget(MISSES, options.monotonicMs);
  /** Of its own: keys that are known must not keep others from being looked up at all. */
  const mayLookAgain = createBudget(MISSES, options.monotonicMs);
  const cache = createCache(options.cacheSize);
  const underWay = new Map<string, Promise<Verification>>();
  const lookUp = async (key: string, hashes: readonly string[], nowMs: number): Promise<Verification> => {
    const [hash = ""] = hashes;
    const [before, trust] = [cache.changes(), cache.trust()];
    try {
      const record = await options.find(hashes);
      // What is looked up while something changes may be outdated, and is not kept.
      const keep = (known: Known) => cache.changes() === before && cache.keep(hash, known);
      if (record?.legacy === undefined) {
        const known = cache.get(hash);
        const lost = known !== undefined && "principal" in known;
        keep(lost ? { ...known, trust } : { unknownUntilMs: options.monotonicMs() + UNKNOWN_FOR_MS });
        return INVALID;
      }
      if (record.legacy.hash !== hash) options.outdated(record, options.form.kept(key));
      const principal = principalOf(record);
      keep({ principal, trust });
      return standing(principal, nowMs);
    } catch {
      return UNAVAILABLE;
    }
  };
  const begin = (key: string, hashes: readonly string[], nowMs: number) => {
    const started = lookUp(key, hashes, nowMs).finally(() => underWay.delete(hashes[0] ?? ""));
    underWay.set(hashes[0] ?? "", started);
    return started;
  };
  return {
    verify(key, nowMs): Eventual<Verification> {
      if (!couldBeLegacyKey(key)) return INVALID;
      const hashes = options.form.hashes(key);
      const [hash = ""] = hashes;
      const known = cache.get(hash);
      if (known !== undefined && "principal" in known) {
        if (known.trust !== cache.trust() && !underWay.has(hash) && mayLookAgain()) begin(key, hashes, nowMs);
        return standing(known.principal, nowMs);
      }
      if (known !== undefined && known.unknownUntilMs > options.monotonicMs()) return INVALID;
      const running = underWay.get(hash);
      if (running !== undefined) return running;
      if (!mayMiss()) return UNAVAILABLE;
      return begin(key, hashes, nowMs);
    },
    forget: cache.forget,
    distrust: cache.distrust,
  };
}

function createCache(size: number) {
  /** Not by their hash, for instances may hash with different secrets while those rotate. */
  const hashes = new Map<string, string>();
  const dropped = (known: Known) => {
    if ("principal" in known) hashes.delete(known.principal.keyId);
  };
  const cache = createRecent<string, Known>(size, dropped);
  let [changes, trust] = [0, 0];
  const dropUnknown = () => {
    for (const [hash, known] of cache.entries()) if ("unknownUntilMs" in known) cache.delete(hash);
  };
  return {
    get: (hash: string) => cache.get(hash),
    changes: () => changes,
    trust: () => trust,
    keep(hash: string, known: Known) {
      cache.set(hash, known);
      if ("principal" in known) hashes.set(known.principal.keyId, hash);
    },
    forget(keyIds: readonly string[]) {
      changes++;
      for (const keyId of keyIds) {
        cache.delete(hashes.get(keyId) ?? "");
        hashes.delete(keyId);
      }
      if (keyIds.length === 0) dropUnknown();
    },
    distrust() {
      changes++;
      trust++;
      dropUnknown();
    },
  };
}

function standing(principal: Principal, nowMs: number): Verification {
  return nowMs < principal.expiresAt * 1000
    ? { ok: true, principal }
    : { ok: false, reason: "key_expired", principal };
}

function principalOf(record: KeyRecord): Principal {
  const { keyId, family, owner, role, scopes, name, issuedAt, expiresAt, refreshAfter, legacy } = record;
  const { migratedAt } = legacy ?? {};
  return {
    keyId,
    family,
    ...(owner !== undefined && { owner }),
    role,
    scopes,
    name,
    issuedAt,
    expiresAt,
    refreshAfter,
    legacy: migratedAt === undefined ? {} : { migratedAt },
  };
}
