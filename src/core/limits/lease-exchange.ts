import type { RateLimit } from "../policy/policy.ts";
import type { QuotaDemand } from "../quotas/quota-demand.ts";
import type { QuotaExchange } from "../quotas/quota-exchange.ts";
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
  /** Absent if no request ever takes from a quota. */
  readonly quotas?: Pick<QuotaExchange, "step">;
  readonly monotonicMs: () => number;
  /** Unique among all instances and restarts, for ever. */
  readonly instanceId: string;
  readonly observe?: (event: "granted" | "refused" | "failed" | "returned", tokens: number) => void;
}

/** One shared bucket or counter in the memory of an instance. */
export type SharedLimit = SharedBucket | SharedCounter;

interface SharedBucket extends LeaseState {
  readonly limit: RateLimit;
  readonly quota: undefined;
}

/** Of one limit: requests under another limit of the same quota have another one. */
export interface SharedCounter extends LeaseState {
  readonly quota: QuotaDemand;
}

interface LeaseState {
  /** The bucket, or the counter and its limit. */
  readonly id: string;
  readonly holder: LeaseHolder;
  /** Resolves with whether a response arrived. All waiting requests share it. */
  pendingRequest: Promise<boolean> | undefined;
  /** Reports of ended leases that are on their way to the store. Each of them may fail. */
  pendingReturns: number;
  /** When it was last moved to the end of the known limits, as the most recently used one. */
  movedMs: number;
}

export interface LeaseExchange {
  /** Requests tokens, or joins the pending request. Resolves with whether the store responded. */
  requestTokens(shared: SharedLimit, cost: number): Promise<boolean>;
  /** Reports the ended leases to the store. Never rejects: after a failure the next call reports them again, until they are void. */
  returnLeases(shared: SharedLimit): Promise<void>;
}

/** The messages between an instance's leases and the store. */
export function createLeaseExchange(ports: LeaseExchangePorts): LeaseExchange {
  const { monotonicMs } = ports;
  let counter = 0;

  const exchange = async (shared: SharedLimit, cost: number): Promise<boolean> => {
    const { holder } = shared;
    const leaseId = `${ports.instanceId}.${++counter}`;
    const { settlements, request } = beginLeaseRequest(holder, cost, leaseId, monotonicMs());
    try {
      const reply = await step(ports, shared, settlements, request);
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
    requestTokens(shared, cost) {
      shared.pendingRequest ??= exchange(shared, cost).finally(() => {
        shared.pendingRequest = undefined;
      });
      return shared.pendingRequest;
    },
    async returnLeases(shared) {
      const { holder } = shared;
      const ended = takeSettlements(holder);
      if (ended.length === 0) return;
      const nowMs = monotonicMs();
      const settlements = ended.map((lease) => settlementOf(lease, nowMs));
      shared.pendingReturns++;
      try {
        await step(ports, shared, settlements, undefined);
        const returned = settlements.reduce((sum, { unspentTokens }) => sum + unspentTokens, 0);
        // The store has more than when it denied.
        if (returned > 0) holder.empty = undefined;
        ports.observe?.("returned", returned);
      } catch {
        requeueSettlements(holder, ended);
      } finally {
        shared.pendingReturns--;
      }
    },
  };
}

/** Throws if this instance has no counters. */
function step(
  { store, quotas }: LeaseExchangePorts,
  shared: SharedLimit,
  settlements: readonly Settlement[],
  request: LeaseRequest | undefined,
): Promise<LeaseReply> {
  if (shared.quota === undefined) return store.step(shared.id, shared.limit, settlements, request);
  if (quotas === undefined) throw new RangeError("this instance has no counters of quotas");
  return quotas.step(shared.quota, settlements, request);
}
