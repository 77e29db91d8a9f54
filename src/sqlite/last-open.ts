import type { Database } from "./database.ts";

/** After a longer pause, nothing confirms that the wall clock is correct. */
const RECENT_MS = 3_600_000;

/** Whether a process swept this registry within the last hour by this clock, so that the clock has not jumped since. */
export function wasOpenLately({ sqlite }: Database, nowMs: number): boolean {
  const row = sqlite.prepare("SELECT value FROM shared_state WHERE name = 'swept_at'").get();
  return row !== undefined && Math.abs(nowMs - Number(row["value"]) * 1000) < RECENT_MS;
}
