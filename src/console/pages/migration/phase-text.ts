import type { PhaseEffect } from "../../../client/types.ts";
import { formatCount, formatPlural } from "../../data/format.ts";

/** What clients notice of a phase. */
export const MEANINGS = {
  silent: "A V1 registration issues a V1 key. Clients notice nothing.",
  gradual: "A V1 registration issues a V2 key to clients that send Accept-Key-Version: 2.",
  active: "As gradual. Responses to V1 keys announce V2 keys.",
  deprecated: "As active. Responses announce the end, and exchanged V1 keys end after their overlap.",
  removed: "V1 keys that were not exchanged are denied at once. No V1 key is issued.",
} as const;

/** What a phase does to the keys, a sentence each. */
export function effectSentences(effect: PhaseEffect): readonly string[] {
  const { valid, denied, ending, ends_from: from } = effect;
  const { denied_used_last_day: day, denied_used_last_week: week, denied_used_last_month: month } = effect;
  return [
    ...(denied > 0
      ? [
          `${formatPlural(denied, "V1 key")} without a V2 key ${denied === 1 ? "is" : "are"} denied at once. Used: ${formatCount(day)} in 24 h, ${formatCount(week)} in 7 days, ${formatCount(month)} in 30 days.`,
        ]
      : []),
    ...(from === null
      ? []
      : [
          `${formatPlural(ending, "exchanged V1 key ends", "exchanged V1 keys end")} on ${from.slice(0, 10)}, or after ${ending === 1 ? "its" : "their"} own overlap.`,
        ]),
    ...(valid > 0 ? [`${formatPlural(valid, "V1 key stays", "V1 keys stay")} valid.`] : []),
    ...(valid + denied + ending === 0 ? ["There are no V1 keys."] : []),
  ];
}
