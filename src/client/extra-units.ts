import type { AppliedOverride } from "./types.ts";

type AppliedQuota = NonNullable<AppliedOverride["quotas"]>[number];

/** Whether there are extra units whose window is not over. To set them after its end would grant them again. */
export function hasExtraUnits(
  { extra, extra_until: until }: Pick<AppliedQuota, "extra" | "extra_until">,
  nowMs: number,
): boolean {
  return extra > 0 && (until === null || Date.parse(until) > nowMs);
}
