import type { KeyCounts } from "./types.ts";

/** The counts of a whole registry. */
export type KeyTotals = Omit<KeyCounts, "next_cursor">;

export function sumOf(parts: readonly KeyCounts[]): KeyTotals {
  const sum = (of: (part: KeyCounts) => number) => parts.reduce((total, part) => total + of(part), 0);
  const uses = parts.flatMap(({ last_used_at: at }) => at ?? []);
  return {
    keys: sum(({ keys }) => keys),
    live: sum(({ live }) => live),
    by_status: {
      active: sum((part) => part.by_status.active),
      superseded: sum((part) => part.by_status.superseded),
      disabled: sum((part) => part.by_status.disabled),
      revoked: sum((part) => part.by_status.revoked),
      expired: sum((part) => part.by_status.expired),
    },
    // All times have the same form, so they sort as texts.
    last_used_at: uses.sort().at(-1) ?? null,
    examined: sum(({ examined }) => examined),
  };
}
