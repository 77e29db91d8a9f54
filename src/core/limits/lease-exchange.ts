import type { RateLimit } from "../policy/policy.ts";
import type { LeaseAsk, LeaseReply, Settlement } from "./leased-bucket.ts";
import type { LeaseHolder } from "./token-lease.ts";
import { failAsk, finishAsk, keepEnded, settlementOf, startAsk, takeEnded } from "./token-lease.ts";

/** Where the buckets are that instances share. */
export interface LeaseStore {
  /**
   * One step of one bucket: settles, refills, grants; without an ask it only settles. Rejects when no answer came:
   * then it may have been carried out. It is never sent a second time by itself.
   */
  step(
    bucketId: string,
    limit: RateLimit,
    settlements: readonly Settlement[],
    ask: LeaseAsk | undefined,
  ): Promise<LeaseReply>;
}

export interface LeaseTrafficPorts {
  readonly store: LeaseStore;
  readonly monotonicMs: () => number;
  /** Unique for ever among all instances and restarts. */
  readonly instanceId: string;
  readonly observe?: (what: "granted" | "refused" | "failed" | "returned", tokens: number) => void;
}

/** One shared bucket, as an instance knows it. */
export interface SharedBucket {
  readonly bucketId: string;
  readonly limit: RateLimit;
  readonly holder: LeaseHolder;
  /** Resolves with whether an answer came, for all who wait for the one ask under way. */
  asking: Promise<boolean> | undefined;
  /** The store is being told of leases that are done with. */
  isSendingBack: boolean;
  /** When it last went to the end of those that are known, the one used last. */
  movedMs: number;
}

export interface LeaseTraffic {
  /** Asks for tokens of one bucket; whoever comes while an ask is under way waits for the same. */
  ask(bucket: SharedBucket, cost: number): Promise<boolean>;
  /** Tells the store which leases are done with. Never rejects: what was not heard is said again, until it is void. */
  sendBack(bucket: SharedBucket): Promise<void>;
}

/** What goes to and fro between an instance's leases and the store. */
export function createLeaseTraffic(ports: LeaseTrafficPorts): LeaseTraffic {
  const { store, monotonicMs } = ports;
  let counter = 0;

  const exchange = async ({ bucketId, limit, holder }: SharedBucket, cost: number): Promise<boolean> => {
    const { settlements, ask } = startAsk(holder, cost, `${ports.instanceId}.${++counter}`, monotonicMs());
    try {
      const reply = await store.step(bucketId, limit, settlements, ask);
      finishAsk(holder, reply, monotonicMs());
      ports.observe?.(reply.grantedTokens > 0 ? "granted" : "refused", reply.grantedTokens);
      return true;
    } catch {
      failAsk(holder);
      ports.observe?.("failed", 0);
      return false;
    }
  };

  return {
    ask(bucket, cost) {
      bucket.asking ??= exchange(bucket, cost).finally(() => {
        bucket.asking = undefined;
      });
      return bucket.asking;
    },
    async sendBack(bucket) {
      const { bucketId, limit, holder } = bucket;
      const ended = takeEnded(holder);
      if (ended.length === 0) return;
      const nowMs = monotonicMs();
      const settlements = ended.map((lease) => settlementOf(lease, nowMs));
      bucket.isSendingBack = true;
      try {
        await store.step(bucketId, limit, settlements, undefined);
        ports.observe?.(
          "returned",
          settlements.reduce((sum, { unspentTokens }) => sum + unspentTokens, 0),
        );
      } catch {
        keepEnded(holder, ended);
      } finally {
        bucket.isSendingBack = false;
      }
    },
  };
}
