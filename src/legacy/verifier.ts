import { createClockCache } from "../core/cache/clock-cache.ts";
import { expiryVerdict } from "../core/decision/expiry-verdict.ts";
import type { KeyVerifier, Verification } from "../core/decision/ports.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { KeyRecord, LegacyPart } from "../core/keys/key-record.ts";
import type { LegacyForm } from "../core/legacy/ports.ts";
import { createBudget } from "../core/limits/budget.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import { withTimeout } from "../core/timeout.ts";
import { couldBeLegacyKey } from "./key-form.ts";
import type { LookUpOutcome } from "./look-up-budget.ts";
import { createLookUpBudget } from "./look-up-budget.ts";

/** After this time an unknown key is looked up again, because it may have been imported. */
const UNKNOWN_FOR_MS = 10_000;
/** Enough for the failed lookups that the budget of all clients allows in UNKNOWN_FOR_MS. */
const MAX_UNKNOWN = 20_000;
/** The budget for revalidating known keys. */
const REPEATED = { capacity: 400, refillPerSecond: 200 };

const INVALID: Verification = {
  ok: false,
  reason: "credential_invalid",
  rejection: { cause: "opaque_unknown" },
};
const UNAVAILABLE: Verification = { ok: false, reason: "credential_unavailable" };

export interface LegacyVerifierOptions {
  readonly form: LegacyForm;
  /** Finds the V1 key with one of these hashes. Rejects if the store is unavailable. */
  readonly find: (hashes: readonly string[]) => Promise<KeyRecord | undefined>;
  /** Called for a key that is stored under the hash of an older secret. */
  readonly onOutdatedHash: (record: KeyRecord, kept: LegacyPart) => void;
  readonly monotonicMs: () => number;
  /** Milliseconds that a request waits for a lookup. The lookup continues for later requests. */
  readonly waitMs: number;
  readonly cacheSize: number;
}

export interface LegacyVerifier extends KeyVerifier {
  /** Drops changed keys from the cache. With an empty list it drops only the memory of unknown keys. */
  forget(keyIds: readonly string[]): void;
  /**
   * Called when changes may have been missed. Each cached key is looked up again at its next use. Until the response
   * arrives the cached value is used, because otherwise all keys would be looked up at once. A key that the store has lost
   * stays cached.
   */
  revalidateAll(): void;
}

/** A cached key, and the number of {@link LegacyVerifier.revalidateAll} calls when it was read. */
interface Known {
  readonly principal: Principal;
  readonly trust: number;
}

/**
 * Verifies V1 keys by their hash. A cached key needs no store access. Unknown keys are cached too. A key has at most one
 * lookup in flight, and lookups have a budget for each client, so that invalid keys neither flood the store nor block
 * other clients.
 */
export function createLegacyVerifier(options: LegacyVerifierOptions): LegacyVerifier {
  const budget = createLookUpBudget(options.monotonicMs);
  /** A separate budget, so that revalidating known keys does not block lookups of other keys. */
  const mayLookAgain = createBudget(REPEATED, options.monotonicMs);
  const cache = createCache(options);
  const isForgotten = (hash: string) => cache.get(hash) === undefined && !cache.isUnknown(hash);
  const underWay = new Map<string, Promise<Verification>>();
  const lookUp = createLookUp(options, cache);
  const begin = (key: string, hashes: readonly string[], nowMs: number, ended: Ended) => {
    const started = lookUp(key, hashes, nowMs, ended).finally(() => underWay.delete(hashes[0] ?? ""));
    const awaited = withTimeout(started, options.waitMs, () => UNAVAILABLE);
    underWay.set(hashes[0] ?? "", awaited);
    return awaited;
  };
  return {
    verify(key, nowMs, client): MaybePromise<Verification> {
      if (!couldBeLegacyKey(key)) return INVALID;
      const hashes = options.form.hashes(key);
      const [hash = ""] = hashes;
      const known = cache.get(hash);
      if (known !== undefined) {
        if (known.trust !== cache.trust() && !underWay.has(hash) && mayLookAgain())
          begin(key, hashes, nowMs, NOT_CHARGED);
        return expiryVerdict(known.principal, nowMs);
      }
      if (cache.isUnknown(hash)) return INVALID;
      const running = underWay.get(hash);
      if (running !== undefined) return running;
      const charged = budget.take(client?.());
      return charged === undefined ? UNAVAILABLE : begin(key, hashes, nowMs, charged);
    },
    needsStore: (key) => couldBeLegacyKey(key) && isForgotten(options.form.hashes(key)[0] ?? ""),
    forget: cache.forget,
    revalidateAll: cache.revalidateAll,
  };
}

type Ended = (outcome: LookUpOutcome) => void;
const NOT_CHARGED: Ended = () => undefined;

function createLookUp(options: LegacyVerifierOptions, cache: ReturnType<typeof createCache>) {
  return async (
    key: string,
    hashes: readonly string[],
    nowMs: number,
    ended: Ended,
  ): Promise<Verification> => {
    const [hash = ""] = hashes;
    const [before, trust] = [cache.changes(), cache.trust()];
    let outcome: LookUpOutcome = "unanswered";
    try {
      const record = await options.find(hashes);
      outcome = record?.legacy === undefined ? "unknown" : "found";
      // A result read during a change may be outdated, so it is not cached.
      const isCurrent = cache.changes() === before;
      if (record?.legacy === undefined) {
        const lost = cache.get(hash);
        if (isCurrent && lost === undefined) cache.keepUnknown(hash);
        else if (isCurrent && lost !== undefined) cache.keep(hash, { ...lost, trust });
        return INVALID;
      }
      if (record.legacy.hash !== hash) options.onOutdatedHash(record, options.form.storedForm(key));
      const principal = principalOf(record);
      if (isCurrent) cache.keep(hash, { principal, trust });
      return expiryVerdict(principal, nowMs);
    } catch {
      return UNAVAILABLE;
    } finally {
      ended(outcome);
    }
  };
}

function createCache({ cacheSize, monotonicMs }: LegacyVerifierOptions) {
  /** Keyed by id and not by hash, because instances may hash with different secrets during a rotation. */
  const hashes = new Map<string, string>();
  const known = createClockCache<string, Known>(cacheSize, ({ principal }) => {
    hashes.delete(principal.keyId);
    principal.counts?.release();
  });
  /** Until when a key counts as unknown. Separate from the known keys, so that invalid keys cannot evict them. */
  const unknown = createClockCache<string, number>(MAX_UNKNOWN);
  let [changes, trust] = [0, 0];
  return {
    get: (hash: string) => known.get(hash),
    isUnknown: (hash: string) => (unknown.get(hash) ?? Number.NEGATIVE_INFINITY) > monotonicMs(),
    changes: () => changes,
    trust: () => trust,
    keep(hash: string, found: Known) {
      known.set(hash, found);
      hashes.set(found.principal.keyId, hash);
    },
    keepUnknown: (hash: string) => unknown.set(hash, monotonicMs() + UNKNOWN_FOR_MS),
    forget(keyIds: readonly string[]) {
      changes++;
      for (const keyId of keyIds) {
        known.delete(hashes.get(keyId) ?? "");
        hashes.delete(keyId);
      }
      if (keyIds.length === 0) unknown.clear();
    },
    revalidateAll() {
      changes++;
      trust++;
      unknown.clear();
    },
  };
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
    usedAt: undefined,
    counts: undefined,
  };
}
