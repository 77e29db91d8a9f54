import type { StoredOverride } from "../overrides/override.ts";
import { forgetAt } from "../overrides/override.ts";
import type { OverrideView } from "../overrides/override-view.ts";
import { createOverrideView } from "../overrides/override-view.ts";
import type { Ending, Revocation } from "./revocation.ts";
import type { RevocationView } from "./revocation-view.ts";
import { createRevocationView, inSteps } from "./revocation-view.ts";

/** An entry that a store publishes, loads with a snapshot, and gets back from an instance after a loss. */
export type StoredEntry = Ending | StoredOverride;

/** Everything that an instance holds in memory. */
export type ViewEntry = Revocation | StoredOverride;

/**
 * What a Check needs of the store's state, in memory: revocations and overrides. Both are kept current by the same feed,
 * snapshot and write-back.
 */
export interface InstanceView extends Omit<RevocationView, "apply" | "includes" | "entries"> {
  /** Applies entries in any order and any number of times. */
  apply(entries: Iterable<ViewEntry>): void;
  /** Whether applying the entry would change nothing. */
  includes(entry: ViewEntry): boolean;
  /** All entries, to be written back to a store that has lost them. The view may change during the iteration. */
  entries(): Iterable<StoredEntry>;
  readonly overrides: Pick<OverrideView, "inForce" | "generation" | "entryOf" | "entries">;
  /** Forgets all overrides: for an instance that may have missed that one was cleared. A snapshot loads the present ones. */
  discardOverrides(): void;
}

export function createInstanceView(): InstanceView {
  const revocations = createRevocationView();
  const overrides = createOverrideView();
  return {
    ...revocations,
    overrides,
    discardOverrides: () => overrides.clear(),
    apply(entries) {
      for (const entry of entries)
        if (entry.kind === "override") overrides.apply(entry);
        else revocations.apply([entry]);
    },
    includes: (entry) =>
      entry.kind === "override" ? overrides.includes(entry) : revocations.includes(entry),
    *entries() {
      yield* revocations.entries();
      yield* overrides.entries();
    },
    async sweep(beforeMs, nextTurn) {
      await revocations.sweep(beforeMs, nextTurn);
      const before = Math.floor(beforeMs / 1000);
      await inSteps(overrides.entries(), nextTurn, (override) => {
        if (forgetAt(override) <= before) overrides.delete(override);
      });
    },
    size: () => revocations.size() + overrides.size(),
  };
}
