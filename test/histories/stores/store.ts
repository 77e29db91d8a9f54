import { setTimeout as pause } from "node:timers/promises";
import type { FaultRelay, RelayFault } from "../../support/fault-relay.ts";
import type { History } from "../operations.ts";

/** The way of one instance to its store: all its connections pass relays of its own. */
export interface Way {
  set(fault: RelayFault): void;
  /** The same for a part of the store only: the Sentinels, or some nodes. */
  setPart(fault: RelayFault): void;
  close(): Promise<unknown>;
}

/** A fault of the store itself. */
export interface StoreFault {
  readonly name: string;
  /** Resolves once the store is whole again. @param ms how long the fault lasts, if it has no end of its own */
  run(ms: number, history: History): Promise<void>;
}

export interface HistoryStore {
  /** What one instance needs to reach the store. */
  reach(): Promise<{ readonly env: Readonly<Record<string, string>>; readonly way: Way }>;
  readonly faults: readonly StoreFault[];
  /** Milliseconds for which an instance may still read a primary that was replaced. */
  readonly splitMs: number;
  stop(): Promise<void>;
}

/** Relays that share one fault. @param part some of them */
export function wayOf(relays: readonly FaultRelay[], part = relays): Way {
  return {
    set(fault) {
      for (const relay of relays) relay.set(fault);
    },
    setPart(fault) {
      for (const relay of part) relay.set(fault);
    },
    close: () => Promise.all(relays.map((relay) => relay.close())),
  };
}

const WAIT_MS = 120_000;

/** Of a fault that takes longer to heal, the history says nothing. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > endMs) throw new Error("it did not come to hold");
    await pause(50);
  }
}

/** The age that `local_max` asks of a store, so that instances may serve their share from the start. */
export const OLD_EPOCH = `epoch ${Date.now() - 3_600_000}`;
