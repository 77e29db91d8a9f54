import { createClockCache } from "../core/cache/clock-cache.ts";
import { addressNetworks } from "../core/decision/client-address.ts";
import type { BucketLimit, BucketState } from "../core/limits/token-bucket.ts";
import { fullBucket, MICRO, refillBucket } from "../core/limits/token-bucket.ts";

/** Budgets for lookups that find no key: for one address (an IPv6 /64), for one IPv6 /48, and for all clients. */
const OF_ADDRESS = { capacity: 400, refillPerSecond: 200 };
const OF_WIDER_NETWORK = { capacity: 800, refillPerSecond: 400 };
const OF_ALL = { capacity: 1000, refillPerSecond: 1000 };
/** A network with more failed lookups than this counts as guessing. A client with one stale key stays below it. */
const NOT_GUESSING = { capacity: 3, refillPerSecond: 1 / 6 };
/** About 200 bytes each. An evicted network starts with a full budget, which does not affect other clients. */
const MAX_NETWORKS = 50_000;

/** How a lookup ended: key found, key unknown, or no response from the store. */
export type LookUpOutcome = "found" | "unknown" | "unanswered";

export interface LookUpBudget {
  /**
   * Reserves one lookup for a client. Returns the function to call when the lookup has ended, or undefined if the budget
   * is spent. Lookups without a client address, such as those of operators, are charged to the budget of all clients.
   */
  take(client: string | undefined): ((outcome: LookUpOutcome) => void) | undefined;
}

interface Network {
  readonly limit: BucketLimit;
  bucket: BucketState;
  /** Has a token while the network does not count as guessing. */
  readonly trust: Holder;
  underWay: number;
}

/**
 * Lookups that find a key cost nothing. Failed lookups are charged to the client's address first, then to the budget of
 * all clients. Clients that rarely fail have a separate share, so a client that invents keys cannot block others, unless
 * it does so from thousands of networks.
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

/** Counts lookups in flight as failed, because each may still find no key. */
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

/** A returned token above the capacity is removed by the next refill. */
function add(holder: Holder, micro: number): void {
  holder.bucket = { ...holder.bucket, levelMicro: holder.bucket.levelMicro + micro };
}
