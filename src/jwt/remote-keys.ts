import { importJWK } from "jose";
import { z } from "zod";
import type { Eventual } from "../core/eventual.ts";
import type { IssuerAlgorithm } from "../core/issuer.ts";
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

const setSchema = z.looseObject({ keys: z.array(z.unknown()).max(MAX_KEYS) });

/** Whether a key is there. An issuer that cannot be asked has said neither. */
export type Found =
  | { readonly kind: "found"; readonly key: CryptoKey; readonly generation: number }
  | { readonly kind: "none" }
  | { readonly kind: "unavailable" };

export interface RemoteKeys {
  /** The key of this name that is for this algorithm. */
  find(kid: string, alg: IssuerAlgorithm): Eventual<Found>;
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

const NONE: Found = { kind: "none" };
const UNAVAILABLE: Found = { kind: "unavailable" };

/** Keeps an issuer's keys: asks again for what is old or unknown, once at a time, and rarely. */
export function createRemoteKeys({ fetchText, monotonicMs, waitMs, fetched }: RemoteKeysOptions): RemoteKeys {
  let keys: ReadonlyMap<string, Jwk> = new Map();
  /** By name and algorithm. */
  const usable = new Map<string, Promise<Found>>();
  let text: string | undefined;
  let [generation, loadedMs, askedMs] = [0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let lastFailed = true;
  let underWay: Promise<void> | undefined;

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
      underWay = undefined;
    }
  };
  const ask = (): Promise<void> | undefined => {
    if (underWay === undefined && monotonicMs() - askedMs >= COOLDOWN_MS) {
      askedMs = monotonicMs();
      underWay = load();
    }
    return underWay;
  };
  const known = (kid: string, alg: IssuerAlgorithm): Eventual<Found> => {
    if (monotonicMs() - loadedMs > MAX_AGE_MS) return UNAVAILABLE;
    const jwk = keys.get(kid);
    if (jwk !== undefined) {
      const name = `${kid} ${alg}`;
      const found = usable.get(name) ?? imported(jwk, alg, generation);
      usable.set(name, found);
      return found;
    }
    // A name that is not there may be one that could not be heard of.
    return lastFailed || underWay !== undefined ? UNAVAILABLE : NONE;
  };
  return {
    prefetch: () => void ask(),
    generation: () => (monotonicMs() - loadedMs <= FRESH_MS ? generation : undefined),
    find(kid, alg) {
      if (keys.has(kid) && monotonicMs() - loadedMs <= FRESH_MS) return known(kid, alg);
      const asked = ask();
      return asked === undefined ? known(kid, alg) : inTime(asked, waitMs).then(() => known(kid, alg));
    },
  };
}

async function inTime(work: Promise<void>, waitMs: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, waitMs);
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** What can be used of a set, by name. What cannot is nobody's fault here: issuers publish keys for other purposes too. */
function parseSet(text: string): ReadonlyMap<string, Jwk> {
  const { keys } = setSchema.parse(JSON.parse(text));
  const named = keys.flatMap((key) => {
    const parsed = jwkSchema.safeParse(key);
    return parsed.success && parsed.data.kid !== undefined ? [[parsed.data.kid, parsed.data] as const] : [];
  });
  return new Map(named);
}

async function imported(jwk: Jwk, alg: IssuerAlgorithm, generation: number): Promise<Found> {
  if (jwkProblem(jwk, alg) !== undefined || (jwk.alg !== undefined && jwk.alg !== alg)) return NONE;
  try {
    // Only `oct` is imported as bytes, and no algorithm here takes one.
    const key = (await importJWK(publicMembers(jwk), alg)) as CryptoKey;
    return { kind: "found", key, generation };
  } catch {
    return NONE;
  }
}
