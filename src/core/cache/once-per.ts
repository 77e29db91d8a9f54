import { createClockCache } from "./clock-cache.ts";

/** What is written once in a period for each id, however often it happens. */
export interface OncePer {
  /** Whether it was not noted within the period. */
  isDue(id: string): boolean;
  noted(id: string): void;
}

/**
 * Remembers `max` ids. One that had to be forgotten early is due again: too much may be written, never too little.
 * @param periodMs milliseconds
 */
export function createOncePer(periodMs: number, max: number, monotonicMs: () => number): OncePer {
  const notedAtMs = createClockCache<string, number>(max);
  return {
    isDue(id) {
      const atMs = notedAtMs.get(id);
      return atMs === undefined || monotonicMs() - atMs >= periodMs;
    },
    noted: (id) => notedAtMs.set(id, monotonicMs()),
  };
}
