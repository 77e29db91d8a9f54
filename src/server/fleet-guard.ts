import type { AuditStore } from "../core/audit/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { LeaseStore } from "../core/limits/lease-exchange.ts";
import type { BucketAdmin, QuotaAdmin } from "../core/limits/ports.ts";
import type { QuotaStore } from "../core/quotas/quota-store.ts";
import type { UsageStore } from "../core/usage/ports.ts";

/** A change was rejected, because this instance does not have the settings of the store's fleet. */
export class NotOfThisFleet extends Error {
  override readonly name = "NotOfThisFleet";

  constructor() {
    super("a setting that all instances share differs here: this instance changes nothing in the store");
  }
}

/** Prevents an instance of another fleet from changing the store. */
export interface FleetGuard {
  readonly differsFromFleet: () => boolean;
  /** Sets how the guard decides. Before, the instance belongs to the fleet. */
  judgeBy(differsFromFleet: () => boolean): void;
  keys(store: KeyStore): KeyStore;
  audit(store: AuditStore): AuditStore;
  buckets(admin: BucketAdmin): BucketAdmin;
  leases(store: LeaseStore): LeaseStore;
  quotas(admin: QuotaAdmin): QuotaAdmin;
  counters(store: QuotaStore): QuotaStore;
  usage(store: UsageStore): UsageStore;
}

export function createFleetGuard(): FleetGuard {
  let judge = () => false;
  const differsFromFleet = () => judge();
  /** Rejects a requested change. */
  const rejecting =
    <Args extends readonly unknown[], Result>(write: (...args: Args) => Promise<Result>) =>
    (...args: Args): Promise<Result> =>
      differsFromFleet() ? Promise.reject(new NotOfThisFleet()) : write(...args);
  /** Skips a change that the instance makes by itself. */
  const skipping =
    <Args extends readonly unknown[], Result>(write: (...args: Args) => Promise<Result>, skipped: Result) =>
    async (...args: Args): Promise<Result> =>
      differsFromFleet() ? skipped : write(...args);
  return {
    differsFromFleet,
    judgeBy(differsFromFleet) {
      judge = differsFromFleet;
    },
    keys: (store) => ({
      ...store,
      commit: rejecting(store.commit),
      importLegacy: rejecting(store.importLegacy),
      noteUse: skipping(store.noteUse, undefined),
      sweep: skipping(store.sweep, 0),
    }),
    audit: (store) => ({
      ...store,
      claim: skipping(store.claim, []),
      done: skipping(store.done, undefined),
      sweep: skipping(store.sweep, undefined),
    }),
    buckets: (admin) => ({ ...admin, reset: rejecting(admin.reset) }),
    leases: (store) => ({ ...store, step: rejecting(store.step) }),
    quotas: (admin) => ({ ...admin, reset: rejecting(admin.reset) }),
    counters: (store) => ({ ...store, step: rejecting(store.step) }),
    usage: (store) => ({
      ...store,
      post: rejecting(store.post),
      bytes: skipping(store.bytes, 0),
      sweep: skipping(store.sweep, undefined),
    }),
  };
}
