import type { Eventual } from "../core/eventual.ts";
import type { KeyRecord, LegacyPart } from "../core/key-record.ts";
import type { KeyVerifier, Verification } from "../core/ports.ts";
import type { Principal } from "../core/principal.ts";
import type { LegacyForm } from "../core/registry.ts";
import type { BucketState } from "../core/token-bucket.ts";
import { fullBucket, MICRO, refillBucket } from "../core/token-bucket.ts";
import { couldBeLegacyKey } from "./key-form.ts";

/** A key that was not there may have been imported since. */
const UNKNOWN_FOR_MS = 10_000;
/** A look-up that the store does not answer is not tried again by everybody at once. */
const MISSES = { capacity: 400, refillPerSecond: 200 };

const INVALID: Verification = { ok: false, reason: "credential_invalid" };
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
  /** Forgets keys of which something has changed; without hashes, that some were not there. */
  forget(hashes: readonly string[]): void;
}

type Known = { readonly principal: Principal } | { readonly unknownUntilMs: number };

/**
 * Verifies V1 keys by their hash. A warm key costs no store access; unknown ones are remembered too, each is looked up
 * once at a time, and look-ups have a budget, so that garbage cannot reach the store.
 */
export function createLegacyVerifier(options: LegacyVerifierOptions): LegacyVerifier {
  const mayMiss = createMissBudget(options.monotonicMs);
  const cache = createCache(options.cacheSize);
  const underWay = new Map<string, Promise<Verification>>();
  const lookUp = async (key: string, hashes: readonly string[], nowMs: number): Promise<Verification> => {
    const [hash = ""] = hashes;
    const before = cache.changes();
    try {
      const record = await options.find(hashes);
      if (record?.legacy === undefined) {
        cache.keep(hash, { unknownUntilMs: options.monotonicMs() + UNKNOWN_FOR_MS });
        return INVALID;
      }
      if (record.legacy.hash !== hash) options.outdated(record, options.form.kept(key));
      const principal = principalOf(record);
      // What is looked up while something changes may be outdated, and is not kept.
      if (cache.changes() === before) cache.keep(hash, { principal });
      return standing(principal, nowMs);
    } catch {
      return UNAVAILABLE;
    }
  };
  return {
    verify(key, nowMs): Eventual<Verification> {
      if (!couldBeLegacyKey(key)) return INVALID;
      const hashes = options.form.hashes(key);
      const [hash = ""] = hashes;
      const known = cache.get(hash);
      if (known !== undefined && "principal" in known) {
        cache.keep(hash, known);
        return standing(known.principal, nowMs);
      }
      if (known !== undefined && known.unknownUntilMs > options.monotonicMs()) return INVALID;
      const running = underWay.get(hash);
      if (running !== undefined) return running;
      if (!mayMiss()) return UNAVAILABLE;
      const started = lookUp(key, hashes, nowMs).finally(() => underWay.delete(hash));
      underWay.set(hash, started);
      return started;
    },
    forget: cache.forget,
  };
}

/** The least recently used goes first. */
function createCache(size: number) {
  const cache = new Map<string, Known>();
  let changes = 0;
  return {
    get: (hash: string) => cache.get(hash),
    changes: () => changes,
    keep(hash: string, known: Known) {
      cache.delete(hash);
      cache.set(hash, known);
      if (cache.size > size) cache.delete(cache.keys().next().value ?? "");
    },
    forget(hashes: readonly string[]) {
      changes++;
      for (const hash of hashes) cache.delete(hash);
      if (hashes.length > 0) return;
      for (const [hash, known] of cache) if ("unknownUntilMs" in known) cache.delete(hash);
    },
  };
}

/** Whether one more look-up may be made. */
function createMissBudget(monotonicMs: () => number): () => boolean {
  let budget: BucketState = fullBucket(MISSES, monotonicMs());
  return () => {
    budget = refillBucket(budget, MISSES, monotonicMs());
    if (budget.levelMicro < MICRO) return false;
    budget = { ...budget, levelMicro: budget.levelMicro - MICRO };
    return true;
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
