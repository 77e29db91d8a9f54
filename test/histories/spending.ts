import type { DirectChecks } from "../support/direct-checks.ts";
import { connectChecks } from "../support/direct-checks.ts";
import type { Instance } from "./fleet.ts";
import { LIMIT } from "./fleet.ts";
import type { History } from "./operations.ts";

/** Sends some Checks of the limited key to one instance. Returns once it has answered, or not. */
export async function spend(
  { admittedMs, reasons }: Pick<History, "admittedMs" | "reasons">,
  { process: running }: Instance,
  key: string,
): Promise<void> {
  if (running === undefined) return;
  let checks: DirectChecks | undefined;
  try {
    checks = await connectChecks(running.grpc);
    for (let count = 0; count < 10; count++) {
      const reason = await checks.check("/a/x", key);
      if (reason === "allowed") admittedMs.push(performance.now());
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
  } catch {
    // The instance was killed.
  } finally {
    checks?.close();
  }
}

/**
 * The bound of docs/concepts/limits.md, C + r·(T + outage) and one C for each loss of writes, for a run in which some instance
 * always lacks the store. Then each instance may have filled its share too, which together are one bucket more.
 */
export function overshoot({ admittedMs, lossesMs }: Pick<History, "admittedMs" | "lossesMs">): string[] {
  const { capacity, refillPerSecond } = LIMIT;
  const full = 2 * capacity;
  const events = [
    ...admittedMs.map((atMs) => ({ atMs, tokens: -1 })),
    ...lossesMs.map((atMs) => ({ atMs, tokens: capacity })),
  ].sort((a, b) => a.atMs - b.atMs);
  let level = full;
  let beforeMs = events[0]?.atMs ?? 0;
  for (const { atMs, tokens } of events) {
    const refilled = level + (2 * refillPerSecond * (atMs - beforeMs)) / 1000;
    level = Math.max(level, Math.min(full, refilled)) + tokens;
    beforeMs = atMs;
    if (level < -1) return [`more than the bound was admitted at ${(atMs / 1000).toFixed(2)}`];
  }
  return [];
}
