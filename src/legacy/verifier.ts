import { createClockCache } from "../core/cache/clock-cache.ts";
import { expiryVerdict } from "../core/decision/expiry-verdict.ts";
import type { KeyVerifier, Verification } from "../core/decision/ports.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { KeyRecord, LegacyPart } from "../core/keys/key-record.ts";
import type { LegacyForm } from "../core/keys/registry.ts";
import { createBudget } from "../core/limits/budget.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import { withTimeout } from "../core/timeout.ts";
import { couldBeLegacyKey } from "./key-form.ts";
import type { LookUpOutcome } from "./look-up-budget.ts";
import { createLookUpBudget } from "./look-up-budget.ts";

/** A key that was not there may have been imported since. */
const UNKNOWN_FOR_MS = 10_000;
/** As many as a second's garbage of all clients can be kept for so long. */
const MAX_UNKNOWN = 20_000;
/** Known keys that are looked up once more, a second. */
const REPEATED = { capacity: 400, refillPerSecond: 200 };

const INVALID: Verification = {
  ok: false,
  reason: "credential_invalid",
  rejection: { cause: "opaque_unknown" },
};
const UNAVAILABLE: Verification = { ok: false, reason: "credential_unavailable" };

export interface LegacyVerifierOptions {
  readonly form: LegacyForm;
  /** The V1 key with one of these hashes; rejects when the store does not answer. */
  readonly find: (hashes: readonly string[]) => Promise<KeyRecord | undefined>;
  /** Hears of a key that is kept under another hash than it should be. */
  readonly onOutdatedHash: (record: KeyRecord, kept: LegacyPart) => void;
  readonly monotonicMs: () => number;
  /** Milliseconds that anyone waits for a look-up, whatever becomes of the store; its answer is there for the next one. */
  readonly waitMs: number;
  readonly cacheSize: number;
}

export interface LegacyVerifier extends KeyVerifier {
  /** Forgets keys of which something has changed; without any, that some were not there. */
  forget(keyIds: readonly string[]): void;
  /**
   * Something may have changed unheard: each known key is looked up once more when it is next used. Until that is answered
   * it is taken as it was, for all of them would come at once; and one that a store has lost stays known here.
   */
  revalidateAll(): void;
}

/** As the store had it after so many of {@link LegacyVerifier.revalidateAll}. */
interface Known {
  readonly principal: Principal;
  readonly trust: number;
}

/**
 * Verifies V1 keys by their hash. A warm key costs no store access; unknown ones are remembered too, each is looked up
 * once at a time, and look-ups have a budget by client, so that garbage reaches the store only so often, and stops nobody else.
 */
export function createLegacyVerifier(options: LegacyVerifierOptions): LegacyVerifier {
  const budget = createLookUpBudget(options.monotonicMs);
  /** Of its own: keys that are known must not keep others from being looked up at all. */
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
      // What is looked up while something changes may be outdated, and is not kept.
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
  /** Not by their hash, for instances may hash with different secrets while those rotate. */
  const hashes = new Map<string, string>();
  const known = createClockCache<string, Known>(cacheSize, ({ principal }) => hashes.delete(principal.keyId));
  /** Until when a key counts as unknown. Apart from those that are known, which garbage must not drive out. */
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
  };
}
