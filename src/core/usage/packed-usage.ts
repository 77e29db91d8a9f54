import { createClockCache } from "../cache/clock-cache.ts";
import type { OutcomeCounts, UsageAmount } from "./usage-amount.ts";
import { mergeUsage } from "./usage-amount.ts";

/** The usage of a family as text. It takes a tenth of the memory of its objects, and families with equal usage share one text. */
export type PackedUsage = string;

type Counts = readonly [allowed: number, denied: number, limited: number];

/** What the text is as JSON. */
type Parts = readonly [
  /** Empty: the family itself. */
  owner: string,
  requests: Counts,
  cost: number,
  units: readonly (readonly [unit: string, amount: number])[],
  routes: readonly (readonly [label: string, requests: Counts])[],
];

export interface UsagePacking {
  pack(family: string, amount: UsageAmount): PackedUsage;
  /** The sum of two amounts of one family. */
  merge(into: PackedUsage, more: PackedUsage): PackedUsage;
}

/** Most of many families have one of a few amounts. */
const MAX_SHARED_TEXTS = 1000;

export function createUsagePacking(): UsagePacking {
  const shared = createClockCache<string, string>(MAX_SHARED_TEXTS);
  const share = (text: string): string => {
    const known = shared.get(text);
    if (known !== undefined) return known;
    shared.set(text, text);
    return text;
  };
  const pack: UsagePacking["pack"] = (family, { owner, requests, cost, units, routes }) => {
    const parts: Parts = [
      owner === family ? "" : owner,
      listOf(requests),
      cost,
      [...units],
      Array.from(routes, ([label, counts]) => [label, listOf(counts)] as const),
    ];
    return share(JSON.stringify(parts));
  };
  // The empty name stands for the family in both amounts, and in their sum.
  const merge: UsagePacking["merge"] = (into, more) =>
    pack("", mergeUsage(unpackUsage("", into), unpackUsage("", more)));
  return { pack, merge };
}

export function unpackUsage(family: string, packed: PackedUsage): UsageAmount {
  const [owner, requests, cost, units, routes]: Parts = JSON.parse(packed);
  return {
    owner: owner === "" ? family : owner,
    requests: countsOf(requests),
    cost,
    units: new Map(units),
    routes: new Map(routes.map(([label, counts]) => [label, countsOf(counts)])),
  };
}

function listOf({ allowed, denied, limited }: OutcomeCounts): Counts {
  return [allowed, denied, limited];
}

function countsOf([allowed, denied, limited]: Counts): OutcomeCounts {
  return { allowed, denied, limited };
}
