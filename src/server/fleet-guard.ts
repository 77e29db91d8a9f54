import type { AuditStore } from "../core/audit/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { LeaseStore } from "../core/limits/lease-exchange.ts";
import type { BucketAdmin } from "../core/limits/ports.ts";

/** A change was refused: this instance has not the settings of the fleet whose store it is. */
export class NotOfThisFleet extends Error {
  override readonly name = "NotOfThisFleet";

  constructor() {
    super("a setting that all instances share differs here: this instance changes nothing in the store");
  }
}

/** Keeps an instance that does not belong to the fleet from changing anything in its store. */
export interface FleetGuard {
  readonly differsFromFleet: () => boolean;
  /** From now on this is what says so. */
  judgeBy(differsFromFleet: () => boolean): void;
  keys(store: KeyStore): KeyStore;
  audit(store: AuditStore): AuditStore;
  buckets(admin: BucketAdmin): BucketAdmin;
  leases(store: LeaseStore): LeaseStore;
}

export function createFleetGuard(): FleetGuard {
  let judge = () => false;
  const differsFromFleet = () => judge();
  /** What was asked for is refused. */
  const refusing =
    <Args extends readonly unknown[], Result>(write: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      if (differsFromFleet()) throw new NotOfThisFleet();
      return write(...args);
    };
  /** What an instance does by itself is left undone. */
  const leaving =
    <Args extends readonly unknown[], Result>(write: (...args: Args) => Promise<Result>, undone: Result) =>
    async (...args: Args): Promise<Result> =>
      differsFromFleet() ? undone : write(...args);
  return {
    differsFromFleet,
    judgeBy(differsFromFleet) {
      judge = differsFromFleet;
    },
    keys: (store) => ({
      ...store,
      commit: refusing(store.commit),
      importLegacy: refusing(store.importLegacy),
      noteUse: leaving(store.noteUse, undefined),
      sweep: leaving(store.sweep, 0),
    }),
    audit: (store) => ({
      ...store,
      claim: leaving(store.claim, []),
      done: leaving(store.done, undefined),
      sweep: leaving(store.sweep, undefined),
    }),
    buckets: (admin) => ({ ...admin, reset: refusing(admin.reset) }),
    leases: (store) => ({ ...store, step: refusing(store.step) }),
  };
}
