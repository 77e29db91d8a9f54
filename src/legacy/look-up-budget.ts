import { addressNetworks } from "../core/client-address.ts";
import { createRecent } from "../core/recent.ts";
import type { BucketLimit, BucketState } from "../core/token-bucket.ts";
import { fullBucket, MICRO, refillBucket } from "../core/token-bucket.ts";

/** Look-ups that found no key: of one address (an IPv6 /64), of one IPv6 /48, and of all clients of either kind. */
const OF_ADDRESS = { capacity: 400, refillPerSecond: 200 };
const OF_WIDER_NETWORK = { capacity: 800, refillPerSecond: 400 };
const OF_ALL = { capacity: 1000, refillPerSecond: 1000 };
/** A network whose look-ups all found a key for so long is not guessing. */
const CLEAN_AFTER_MS = 60_000;
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
  underWay: number;
  failedMs: number;
}

/**
 * Look-ups that find a key cost nothing. Those that find none are spent by the client's own address first, then from what is for
 * all; and clients that have not failed of late have a share of their own. So whoever makes up keys stops nobody else, unless it
 * does so from a thousand networks a minute.
 */
export function createLookUpBudget(monotonicMs: () => number): LookUpBudget {
  const networks = createRecent<string, Network>(MAX_NETWORKS);
  const pools = [
    { bucket: fullBucket(OF_ALL, monotonicMs()) },
    { bucket: fullBucket(OF_ALL, monotonicMs()) },
  ];
  const networkOf = (name: string, limit: BucketLimit, nowMs: number): Network => {
    const known = networks.get(name);
    if (known !== undefined) return known;
    const made = { limit, bucket: fullBucket(limit, nowMs), underWay: 0, failedMs: Number.NEGATIVE_INFINITY };
    networks.set(name, made);
    return made;
  };
  return {
    take(client) {
      const nowMs = monotonicMs();
      const names = client ? addressNetworks(client) : [];
      const own = names.map((name, at) => networkOf(name, at === 0 ? OF_ADDRESS : OF_WIDER_NETWORK, nowMs));
      for (const network of own) network.bucket = refillBucket(network.bucket, network.limit, nowMs);
      for (const pool of pools) pool.bucket = refillBucket(pool.bucket, OF_ALL, nowMs);
      const [ofAll, ofClean] = pools;
      const usable =
        own.length > 0 && own.every((network) => isClean(network, nowMs)) ? [ofClean, ofAll] : [ofAll];
      const pool = usable.find((one) => one !== undefined && has(one));
      if (pool === undefined || !own.every(has)) return undefined;
      for (const one of [pool, ...own]) add(one, -MICRO);
      for (const network of own) network.underWay++;
      return (outcome) => {
        if (outcome === "found") add(pool, MICRO);
        for (const network of own) {
          network.underWay--;
          if (outcome === "unknown") network.failedMs = monotonicMs();
          else add(network, MICRO);
        }
      };
    },
  };
}

function isClean({ underWay, failedMs }: Network, nowMs: number): boolean {
  return underWay === 0 && nowMs - failedMs >= CLEAN_AFTER_MS;
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
