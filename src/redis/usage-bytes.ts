import { DAY_SECONDS } from "../core/usage/usage-time.ts";
import { scriptText } from "./script-text.ts";
import type { UsageStoreOptions } from "./usage-options.ts";

const SCRIPT = scriptText("usage-bytes");

/** Estimates the bytes of usage. What a crash loses is not repeated, so the estimate may be a little low. */
export interface UsageBytes {
  add(day: number, kind: "h" | "d", bytes: number): void;
  /** Of all instances. */
  total(): Promise<number>;
}

export function createUsageBytes({
  registry,
  retention,
  nowMs,
}: Omit<UsageStoreOptions, "instanceId">): UsageBytes {
  const run = registry.script(SCRIPT, "usage-bytes");
  let added = new Map<string, number>();
  const firstDay = (keptSeconds: number) => Math.floor((nowMs() / 1000 - keptSeconds) / DAY_SECONDS);
  return {
    add(day, kind, bytes) {
      if (bytes === 0) return;
      const field = `${kind}${day}`;
      added.set(field, (added.get(field) ?? 0) + bytes);
    },
    async total() {
      const changes = added;
      added = new Map();
      const kept = [firstDay(retention.hoursSeconds), firstDay(retention.daysSeconds)];
      return Number(await run([registry.keys.usageBytes], [...kept, ...[...changes].flat()]));
    },
  };
}
