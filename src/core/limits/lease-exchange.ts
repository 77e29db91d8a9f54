import type { RateLimit } from "../policy/policy.ts";
import type { LeaseHolder } from "./lease-holder.ts";
import {
  beginLeaseRequest,
  completeLeaseRequest,
  failLeaseRequest,
  requeueSettlements,
  settlementOf,
  takeSettlements,
} from "./lease-request.ts";
import type { LeaseReply, LeaseRequest, Settlement } from "./leased-bucket.ts";

/** The store of the buckets that instances share. */
export interface LeaseStore {
  /**
   * Settles, refills and grants in one atomic step on one bucket. Without a request it only settles. Rejects if no response
   * arrived. The store may have executed the step then. It is never resent automatically.
   */
  step(
    bucketId: string,
    limit: RateLimit,
    settlements: readonly Settlement[],
    request: LeaseRequest | undefined,
  ): Promise<LeaseReply>;
}

export interface LeaseExchangePorts {
  readonly store: LeaseStore;
  readonly monotonicMs: () => number;
  /** Unique among all instances and restarts, for ever. */
  readonly instanceId: string;
  readonly observe?: (event: "granted" | "refused" | "failed" | "returned", tokens: number) => void;
}

/** One shared bucket in the memory of an instance. */
export interface SharedBucket {
  readonly bucketId: string;
  readonly limit: RateLimit;
  readonly holder: LeaseHolder;
  /** Resolves with whether a response arrived. All waiting requests share it. */
  pendingRequest: Promise<boolean> | undefined;
  /** Whether settlements are on their way to the store. */
  isReturning: boolean;
  /** When it was last moved to the end of the known buckets, as the most recently used one. */
  movedMs: number;
}

export interface LeaseExchange {
  /** Requests tokens of one bucket, or joins the pending request. Resolves with whether the store responded. */
  requestTokens(bucket: SharedBucket, cost: number): Promise<boolean>;
  /** Reports the ended leases to the store. Never rejects: after a failure the next call reports them again, until they are void. */
  returnLeases(bucket: SharedBucket): Promise<void>;
}

/** The messages between an instance's leases and the store. */
export function createLeaseExchange(ports: LeaseExchangePorts): LeaseExchange {
  const { store, monotonicMs } = ports;
  let counter = 0;

  const exchange = async ({ bucketId, limit, holder }: SharedBucket, cost: number): Promise<boolean> => {
    const leaseId = `${ports.instanceId}.${++counter}`;
    const { settlements, request } = beginLeaseRequest(holder, cost, leaseId, monotonicMs());
    try {
      const reply = await store.step(bucketId, limit, settlements, request);
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
    requestTokens(bucket, cost) {
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
