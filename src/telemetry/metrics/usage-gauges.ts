import type { Instruments } from "./instruments.ts";

/**
 * Why usage was not counted: too many families at a time, counting has stopped (`USAGE_MAX_BYTES`), or it could not be stored
 * within a day.
 */
export type UsageDrop = "too_many" | "stopped" | "expired";

const DROPS: readonly UsageDrop[] = ["too_many", "stopped", "expired"];

/** What an instance measures of the usage that it counts. */
export interface UsageGauges {
  dropped(why: UsageDrop, requests: number): void;
  /** Families and hours that wait to be stored. */
  waiting(count: number): void;
  stored(bytes: number, isStopped: boolean): void;
}

export function createUsageGauges(instruments: Instruments): UsageGauges {
  for (const why of DROPS) instruments.usageDropped.inc({ why }, 0);
  return {
    dropped: (why, requests) => instruments.usageDropped.inc({ why }, requests),
    waiting: (count) => instruments.usageWaiting.set(count),
    stored(bytes, isStopped) {
      instruments.usageBytes.set(bytes);
      instruments.usageStopped.set(isStopped ? 1 : 0);
    },
  };
}
