import type { AcknowledgedChange, ChangeMemory } from "../core/keys/change-memory.ts";
import { createChangeMemory } from "../core/keys/change-memory.ts";
import type { LostWriteDeps } from "../core/keys/lost-writes.ts";
import { enterLostWrites } from "../core/keys/lost-writes.ts";
import type { LostWriteWatcher } from "../redis/feed-position.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import type { StoreOptions } from "./ports.ts";
import { repeat } from "./repeat.ts";

/** Records that an instance remembers of changes, and as many of imports: about 1.2 KB each. */
const MAX_RECORDS = 10_000;
/** The write-back of revocations comes first, and it takes about this long. */
const ENTER_EVERY_MS = 500;

/** Remembers what Redis has acknowledged, and enters again what it has lost. */
export interface LostWrites extends LostWriteWatcher {
  remember(change: AcknowledgedChange): void;
  /** Changes in memory. */
  size(): number;
  /** Starts to enter lost changes. @param store acknowledges without waiting for replicas */
  begin(store: LostWriteDeps["store"]): void;
}

export type LostWriteOptions = Pick<
  StoreOptions,
  "settings" | "view" | "clock" | "log" | "shutdown" | "metrics"
>;

export function createLostWrites(options: LostWriteOptions): LostWrites {
  const { settings, log, shutdown } = options;
  const limits = {
    monotonicMs: () => performance.now(),
    maxRecords: MAX_RECORDS,
    maxAgeMs: settings.AUDIT_RETENTION * 1000,
  };
  // An import of many keys must not displace the changes of others.
  const memories = { changes: createChangeMemory(limits), imports: createChangeMemory(limits) };
  const both = Object.values(memories);
  /** Counts the times that writes may have been lost, so that a loss during the work causes another turn. */
  let losses = 0;
  let writtenBack = 0;
  let entered = 0;
  return {
    remember(change) {
      const isImport = change.audit[0]?.event === "legacy_keys_imported";
      memories[isImport ? "imports" : "changes"].add(change);
    },
    size: () => both.reduce((sum, memory) => sum + memory.size(), 0),
    onSuspicion() {
      losses++;
    },
    onWrittenBack() {
      writtenBack = losses;
    },
    onReplicated(untilMs) {
      if (entered === losses) for (const memory of both) memory.onReplicated(untilMs);
    },
    begin(store) {
      const turn = async () => {
        const of = losses;
        if (entered === of || writtenBack !== of) return;
        const failures: unknown[] = [];
        for (const memory of both)
          await enter(options, { store, memory }).catch((error) => failures.push(error));
        if (failures.length > 0) throw failures[0];
        entered = of;
      };
      const stop = repeat(ENTER_EVERY_MS, ...logTransitions(turn, log, OUTAGES.lostWrites));
      shutdown.defer("the work on lost writes", stop);
    },
  };
}

/** Enters what the store has lost of one memory. Logs a summary, also when it is interrupted. */
async function enter(
  { view, clock, log, metrics }: LostWriteOptions,
  deps: { readonly store: LostWriteDeps["store"]; readonly memory: ChangeMemory },
): Promise<void> {
  const counts = new Map<string, number>();
  const count = (outcome: Parameters<typeof metrics.store.lostWrite>[0], changes = 1) => {
    counts.set(outcome, (counts.get(outcome) ?? 0) + changes);
    metrics.store.lostWrite(outcome, changes);
  };
  try {
    await enterLostWrites({
      ...deps,
      view,
      storeClock: clock,
      onEntered: count,
      onUnremembered: (changes) => count("unremembered", changes),
    });
  } finally {
    const needsOperator = ["not_applied", "conflicting", "unremembered"].some((outcome) =>
      counts.has(outcome),
    );
    if (counts.size > 0)
      log.warn(
        Object.fromEntries(counts),
        needsOperator ? FAULTS.lostWritesUnresolved : FAULTS.lostWritesEntered,
      );
  }
}
