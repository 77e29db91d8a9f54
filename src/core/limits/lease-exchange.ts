import type { RateLimit } from "../policy/policy.ts";
import type { LeaseReply, LeaseRequest, Settlement } from "./leased-bucket.ts";
import type { LeaseHolder } from "./token-lease.ts";
import {
  beginLeaseRequest,
  completeLeaseRequest,
  failLeaseRequest,
  requeueSettlements,
  settlementOf,
  takeSettlements,
} from "./token-lease.ts";

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
    ask: LeaseRequest | undefined,
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
  pendingRequest: Promise<boolean> | undefined;
  /** The store is being told of leases that are done with. */
  isReturning: boolean;
  /** When it last went to the end of those that are known, the one used last. */
  movedMs: number;
}

export interface LeaseTraffic {
  /** Asks for tokens of one bucket; whoever comes while an ask is under way waits for the same. */
  ask(bucket: SharedBucket, cost: number): Promise<boolean>;
  /** Tells the store which leases are done with. Never rejects: what was not heard is said again, until it is void. */
  returnLeases(bucket: SharedBucket): Promise<void>;
}

/** What goes to and fro between an instance's leases and the store. */
export function createLeaseTraffic(ports: LeaseTrafficPorts): LeaseTraffic {
  const { store, monotonicMs } = ports;
  let counter = 0;

  const exchange = async ({ bucketId, limit, holder }: SharedBucket, cost: number): Promise<boolean> => {
    const { settlements, ask } = beginLeaseRequest(
      holder,
      cost,
      `${ports.instanceId}.${++counter}`,
      monotonicMs(),
    );
    try {
      const reply = await store.step(bucketId, limit, settlements, ask);
      completeLeaseRequest(holder, reply, monotonicMs());
      ports.observe?.(reply.grantedTokens > 0 ? "granted" : "refused", reply.grantedTokens);
      return true;
    } catch {
      failLeaseRequest(holder);
      ports.observe?.("failed", 0);
      return false;
    }
  };

  return {
    ask(bucket, cost) {
      bucket.pendingRequest ??= exchange(bucket, cost).finally(() => {
        bucket.pendingRequest = undefined;
      });
      return bucket.pendingRequest;
    },
    async returnLeases(bucket) {
      const { bucketId, limit, holder } = bucket;
      const ended = takeSettlements(holder);
      if (ended.length === 0) return;
      const nowMs = monotonicMs();
      const settlements = ended.map((lease) => settlementOf(lease, nowMs));
      bucket.isReturning = true;
      try {
        await store.step(bucketId, limit, settlements, undefined);
        ports.observe?.(
          "returned",
          settlements.reduce((sum, { unspentTokens }) => sum + unspentTokens, 0),
        );
      } catch {
        requeueSettlements(holder, ended);
      } finally {
        bucket.isReturning = false;
      }
    },
  };
}
