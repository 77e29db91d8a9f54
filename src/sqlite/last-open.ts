import type { Database } from "./database.ts";

/** A registry that was left for longer may meet a clock that nothing vouches for. */
const LATELY_MS = 3_600_000;

/** Whether a process swept this registry within the last hour, by this clock: then the clock goes on from where it was. */
export function wasOpenLately({ sqlite }: Database, nowMs: number): boolean {
  const row = sqlite.prepare("SELECT value FROM shared_state WHERE name = 'swept_at'").get();
  return row !== undefined && Math.abs(nowMs - Number(row["value"]) * 1000) < LATELY_MS;
}
