import { setTimeout as delay } from "node:timers/promises";

const DAY_MS = 86_400_000;

/** Waits past midnight in UTC if it is near: a test of a quota per day needs one window from its begin to its end. */
export async function awayFromMidnight(testMs: number): Promise<void> {
  const sinceMs = Date.now() % DAY_MS;
  // Reservations of the first moments of a window are not returned.
  if (sinceMs > DAY_MS - testMs) await delay(DAY_MS - sinceMs + 5000);
  else if (sinceMs < 5000) await delay(5000 - sinceMs);
}
