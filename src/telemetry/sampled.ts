import { createBudget } from "../core/limits/budget.ts";

const ONE_A_MINUTE = { capacity: 1, refillPerSecond: 1 / 60 };

/** Logs an event that any client can cause without limit. It is logged once a minute, with the number of events in between. */
export function createSampled<Args extends readonly unknown[]>(
  monotonicMs: () => number,
  log: (unlogged: number, ...args: Args) => void,
): (...args: Args) => void {
  const mayLog = createBudget(ONE_A_MINUTE, monotonicMs);
  let unlogged = 0;
  return (...args) => {
    if (!mayLog()) {
      unlogged++;
      return;
    }
    log(unlogged, ...args);
    unlogged = 0;
  };
}
