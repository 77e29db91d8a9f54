import { createClockCache } from "../core/cache/clock-cache.ts";
import { addressNetworks } from "../core/decision/client-address.ts";
import type { BucketLimit, BucketState } from "../core/limits/token-bucket.ts";
import { fullBucket, MICRO, refillBucket } from "../core/limits/token-bucket.ts";

/** Look-ups that found no key: of one address (an IPv6 /64), of one IPv6 /48, and of all clients of either kind. */
const OF_ADDRESS = { capacity: 400, refillPerSecond: 200 };
const OF_WIDER_NETWORK = { capacity: 800, refillPerSecond: 400 };
const OF_ALL = { capacity: 1000, refillPerSecond: 1000 };
/** A network that finds no key more often than this is guessing; one with a client of a stale key is not. */
const NOT_GUESSING = { capacity: 3, refillPerSecond: 1 / 6 };
/** Some 200 bytes each; one that is forgotten begins anew, which harms nobody else. */
const MAX_NETWORKS = 50_000;

/** How a look-up ended: with a key, without one, or without an answer of the store. */
export type LookUpOutcome = "found" | "unknown" | "unanswered";

export interface LookUpBudget {
  /**
   * Whether a client may have a key looked up: then what to call once it has ended. The client's address; undefined or empty where
   * it is not known, or an operator asks for others: that is charged to what is for all.
   */
  take(client: string | undefined): ((outcome: LookUpOutcome) => void) | undefined;
}

interface Network {
  readonly limit: BucketLimit;
  bucket: BucketState;
  /** Holds a token as long as it does not guess. */
  readonly trust: Holder;
  underWay: number;
}

/**
 * Look-ups that find a key cost nothing. Those that find none are spent by the client's own address first, then from what is for
 * all; and clients that hardly ever fail have a share of their own. So whoever makes up keys stops nobody else, unless it does so
 * from thousands of networks.
 */
export function createLookUpBudget(monotonicMs: () => number): LookUpBudget {
  const networks = createClockCache<string, Network>(MAX_NETWORKS);
  const pools = [
    { bucket: fullBucket(OF_ALL, monotonicMs()) },
    { bucket: fullBucket(OF_ALL, monotonicMs()) },
  ];
  const networkOf = (name: string, limit: BucketLimit, nowMs: number): Network => {
    const known = networks.get(name);
    if (known !== undefined) return known;
    const trust = { bucket: fullBucket(NOT_GUESSING, nowMs) };
    const made = { limit, bucket: fullBucket(limit, nowMs), trust, underWay: 0 };
    networks.set(name, made);
    return made;
  };
  return {
    take(client) {
      const nowMs = monotonicMs();
      const names = client ? addressNetworks(client) : [];
      const own = names.map((name, at) => networkOf(name, at === 0 ? OF_ADDRESS : OF_WIDER_NETWORK, nowMs));
      for (const network of own) {
        network.bucket = refillBucket(network.bucket, network.limit, nowMs);
        network.trust.bucket = refillBucket(network.trust.bucket, NOT_GUESSING, nowMs);
      }
      for (const pool of pools) pool.bucket = refillBucket(pool.bucket, OF_ALL, nowMs);
      const [ofAll, ofTrusted] = pools;
      const usable = own.length > 0 && own.every(isTrusted) ? [ofTrusted, ofAll] : [ofAll];
      const pool = usable.find((one) => one !== undefined && has(one));
      if (pool === undefined || !own.every(has)) return undefined;
      for (const one of [pool, ...own]) add(one, -MICRO);
      for (const network of own) network.underWay++;
      return (outcome) => {
        if (outcome === "found") add(pool, MICRO);
        for (const network of own) {
          network.underWay--;
          if (outcome === "unknown") spend(network.trust);
          else add(network, MICRO);
        }
      };
    },
  };
}

/** Each look-up that is under way may still find no key. */
function isTrusted({ underWay, trust }: Network): boolean {
  return trust.bucket.levelMicro >= (underWay + 1) * MICRO;
}

function spend(holder: Holder): void {
  if (has(holder)) add(holder, -MICRO);
}

interface Holder {
  bucket: BucketState;
}

function has({ bucket }: Holder): boolean {
  return bucket.levelMicro >= MICRO;
}

/** What is given back beyond the capacity goes with the next refill. */
function add(holder: Holder, micro: number): void {
  holder.bucket = { ...holder.bucket, levelMicro: holder.bucket.levelMicro + micro };
}
