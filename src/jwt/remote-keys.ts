import { importJWK } from "jose";
import { z } from "zod";
import type { MaybePromise } from "../core/maybe-promise.ts";
import { chain } from "../core/maybe-promise.ts";
import type { IssuerAlgorithm } from "../core/policy/issuer.ts";
import { withTimeout } from "../core/timeout.ts";
import type { Jwk } from "./jwk.ts";
import { jwkProblem, jwkSchema, publicMembers } from "./jwk.ts";
import type { CryptoKey } from "./key-ring.ts";

/** The set is fetched again after this time, so that a key withdrawn by its issuer stops verifying. */
const FRESH_MS = 300_000;
/** While the issuer does not respond, the cached keys remain valid for this time. */
const MAX_AGE_MS = 3_600_000;
/** The minimum time between two fetches, whatever `kid`s the tokens have. */
const COOLDOWN_MS = 10_000;
const MAX_KEYS = 100;
/** Maximum number of keys with the same `kid` and algorithm that are tried. Each try costs one signature check. */
const MAX_CANDIDATES = 4;

const setSchema = z.looseObject({ keys: z.array(z.unknown()).max(MAX_KEYS) });

/** The result of a key lookup. `unavailable`: the issuer did not respond, so it is unknown whether the key exists. */
export type Found =
  /** Not empty: a `kid` need not be unique (RFC 7517 §4.5). */
  | { readonly kind: "found"; readonly keys: readonly CryptoKey[]; readonly generation: number }
  | { readonly kind: "none"; readonly cause: "key_unknown" | "key_unsuitable" }
  | { readonly kind: "unavailable" };

export interface RemoteKeys {
  /** Finds the keys with this `kid` for this algorithm. */
  find(kid: string, alg: IssuerAlgorithm): MaybePromise<Found>;
  /** A number that changes whenever the keys change, or undefined if the keys are stale and must be looked up again. */
  generation(): number | undefined;
  /** Starts a fetch before the first token arrives. */
  prefetch(): void;
}

export interface RemoteKeysOptions {
  /** Fetches the text of the JWK Set. Rejects if it cannot. */
  readonly fetchText: () => Promise<string>;
  readonly monotonicMs: () => number;
  /** The longest time that one lookup waits for a fetch. The fetch continues for later lookups. */
  readonly waitMs: number;
  /** Called after each fetch. */
  readonly onFetch: (error: Error | undefined) => void;
}

const UNKNOWN: Found = { kind: "none", cause: "key_unknown" };
const UNSUITABLE: Found = { kind: "none", cause: "key_unsuitable" };
const UNAVAILABLE: Found = { kind: "unavailable" };

/** Caches an issuer's keys. Fetches again if they are stale or a `kid` is unknown, with one fetch at a time and a cooldown between fetches. */
export function createRemoteKeys({ fetchText, monotonicMs, waitMs, onFetch }: RemoteKeysOptions): RemoteKeys {
  let keys: ReadonlyMap<string, readonly Jwk[]> = new Map();
  /** By `kid` and algorithm. */
  const usable = new Map<string, Promise<Found>>();
  let text: string | undefined;
  let [generation, loadedMs, askedMs] = [0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let lastFailed = true;
  let inFlight: Promise<void> | undefined;

  const load = async () => {
    try {
      const found = await fetchText();
      if (found !== text) {
        [keys, text] = [parseSet(found), found];
        usable.clear();
        generation++;
      }
      [loadedMs, lastFailed] = [monotonicMs(), false];
      onFetch(undefined);
    } catch (error) {
      lastFailed = true;
      onFetch(error instanceof Error ? error : new Error(String(error)));
    } finally {
      inFlight = undefined;
    }
  };
  const ask = (): Promise<void> | undefined => {
    if (inFlight === undefined && monotonicMs() - askedMs >= COOLDOWN_MS) {
      askedMs = monotonicMs();
      inFlight = load();
    }
    return inFlight && withTimeout(inFlight, waitMs, () => undefined);
  };
  const known = (kid: string, alg: IssuerAlgorithm): MaybePromise<Found> => {
    if (monotonicMs() - loadedMs > MAX_AGE_MS) return UNAVAILABLE;
    const candidates = keys.get(kid);
    if (candidates !== undefined) {
      const name = `${kid} ${alg}`;
      const found = usable.get(name) ?? imported(candidates, alg, generation);
      usable.set(name, found);
      return found;
    }
    // If the last fetch failed, a new key may exist that this instance has not seen.
    return lastFailed || inFlight !== undefined ? UNAVAILABLE : UNKNOWN;
  };
  return {
    prefetch: () => void ask(),
    generation: () => (monotonicMs() - loadedMs <= FRESH_MS ? generation : undefined),
    find(kid, alg) {
      const askedFirst = () => chain(ask(), () => known(kid, alg));
      if (!keys.has(kid) || monotonicMs() - loadedMs > FRESH_MS) return askedFirst();
      return chain(known(kid, alg), (found) => (found.kind === "none" ? askedFirst() : found));
    },
  };
}

/** The usable keys of a set, by `kid`. Other keys are ignored, because issuers also publish keys for other purposes. */
function parseSet(text: string): ReadonlyMap<string, readonly Jwk[]> {
  const { keys } = setSchema.parse(JSON.parse(text));
  const byName = new Map<string, Jwk[]>();
  for (const key of keys) {
    const { success, data: jwk } = jwkSchema.safeParse(key);
    if (!success || jwk.kid === undefined) continue;
    const named = byName.get(jwk.kid);
    if (named === undefined) byName.set(jwk.kid, [jwk]);
    else named.push(jwk);
  }
  return byName;
}

async function imported(
  candidates: readonly Jwk[],
  alg: IssuerAlgorithm,
  generation: number,
): Promise<Found> {
  const suited = candidates.filter((jwk) => jwkProblem(jwk, alg) === undefined).slice(0, MAX_CANDIDATES);
  const keys = (await Promise.all(suited.map((jwk) => importedKey(jwk, alg)))).flatMap((key) => key ?? []);
  return keys.length === 0 ? UNSUITABLE : { kind: "found", keys, generation };
}

/** Undefined if its members are not a valid key. */
async function importedKey(jwk: Jwk, alg: IssuerAlgorithm): Promise<CryptoKey | undefined> {
  try {
    // `importJWK` returns bytes only for `oct`, which no algorithm here uses.
    return (await importJWK(publicMembers(jwk), alg)) as CryptoKey;
  } catch {
    return undefined;
  }
}
