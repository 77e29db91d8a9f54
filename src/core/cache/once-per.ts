import { createClockCache } from "./clock-cache.ts";

/** Limits an event to once per period for each id. */
export interface OncePer {
  /** Whether the id was not recorded within the period. */
  isDue(id: string): boolean;
  record(id: string): void;
}

/**
 * Remembers `max` ids. An id that was evicted early is due again, so there may be too many events, but never too few.
 * @param periodMs milliseconds
 */
export function createOncePer(periodMs: number, max: number, monotonicMs: () => number): OncePer {
  const recordedAtMs = createClockCache<string, number>(max);
  return {
    isDue(id) {
      const atMs = recordedAtMs.get(id);
      return atMs === undefined || monotonicMs() - atMs >= periodMs;
    },
    record: (id) => recordedAtMs.set(id, monotonicMs()),
  };
}
