import { importJWK } from "jose";
import { z } from "zod";
import type { MaybePromise } from "../core/maybe-promise.ts";
import { chain } from "../core/maybe-promise.ts";
import type { IssuerAlgorithm } from "../core/policy/issuer.ts";
import { withTimeout } from "../core/timeout.ts";
import type { Jwk } from "./jwk.ts";
import { jwkProblem, jwkSchema, publicMembers } from "./jwk.ts";
import type { CryptoKey } from "./key-ring.ts";

/** A set is looked at again after this: a key that its issuer has withdrawn verifies no longer. */
const FRESH_MS = 300_000;
/** While the issuer does not answer, what is known holds so long. */
const MAX_AGE_MS = 3_600_000;
/** Whatever names tokens have, the issuer is asked no more often than this. */
const COOLDOWN_MS = 10_000;
const MAX_KEYS = 100;
/** Keys of one name and for one algorithm that a token is tried with: each costs a signature. */
const MAX_CANDIDATES = 4;

const setSchema = z.looseObject({ keys: z.array(z.unknown()).max(MAX_KEYS) });

/** Whether there are keys. An issuer that does not answer has said neither. */
export type Found =
  /** Not empty: a `kid` need not be unique (RFC 7517 §4.5). */
  | { readonly kind: "found"; readonly keys: readonly CryptoKey[]; readonly generation: number }
  | { readonly kind: "none"; readonly cause: "key_unknown" | "key_unsuitable" }
  | { readonly kind: "unavailable" };

export interface RemoteKeys {
  /** The keys of this name that are for this algorithm. */
  find(kid: string, alg: IssuerAlgorithm): MaybePromise<Found>;
  /** Whether what is known is fresh; its number changes when it does. Undefined: it must be found anew. */
  generation(): number | undefined;
  /** Begins to ask, for whoever comes first. */
  prefetch(): void;
}

export interface RemoteKeysOptions {
  /** The text of the JWK Set; rejects when it cannot be had. */
  readonly fetchText: () => Promise<string>;
  readonly monotonicMs: () => number;
  /** Nobody waits longer for an answer; it is there for the next one. */
  readonly waitMs: number;
  /** Hears of every answer. */
  readonly fetched: (error: Error | undefined) => void;
}

const UNKNOWN: Found = { kind: "none", cause: "key_unknown" };
const UNSUITABLE: Found = { kind: "none", cause: "key_unsuitable" };
const UNAVAILABLE: Found = { kind: "unavailable" };

/** Keeps an issuer's keys: asks again for what is old or unknown, once at a time, and rarely. */
export function createRemoteKeys({ fetchText, monotonicMs, waitMs, fetched }: RemoteKeysOptions): RemoteKeys {
  let keys: ReadonlyMap<string, readonly Jwk[]> = new Map();
  /** By name and algorithm. */
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
      fetched(undefined);
    } catch (error) {
      lastFailed = true;
      fetched(error instanceof Error ? error : new Error(String(error)));
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
    // A name that is not there may be one that could not be heard of.
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

/** What can be used of a set, by name. What cannot is no fault: issuers publish keys for other purposes too. */
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

/** Undefined where its members do not make a key. */
async function importedKey(jwk: Jwk, alg: IssuerAlgorithm): Promise<CryptoKey | undefined> {
  try {
    // Only `oct` is imported as bytes, and no algorithm here takes one.
    return (await importJWK(publicMembers(jwk), alg)) as CryptoKey;
  } catch {
    return undefined;
  }
}
