import type { BucketLimit } from "./token-bucket.ts";

/** One entry of a descriptor of Envoy's Rate Limit Service. */
export interface DescriptorEntry {
  readonly key: string;
  readonly value: string;
}

/** A limit as the bucket stores take it. Its name is the key of the last entry. */
export interface DescriptorRateLimit extends BucketLimit {
  readonly name: string;
  readonly per: "key";
  readonly leased: true;
}

/** A quota as the counters take it. Its windows are those of the calendar in UTC. */
export interface DescriptorQuota {
  readonly name: string;
  readonly per: "key";
  readonly unit: "requests";
  readonly every: "day" | "week" | "month";
  readonly timeZone: "UTC";
  readonly limit: number;
}

/** What applies to a descriptor: a bucket or a quota for each of its values, or no limit. */
export type DescriptorLimit =
  | {
      readonly kind: "bucket";
      /** The same object for every request, because leases belong to it. */
      readonly limit: DescriptorRateLimit;
      /** Whether requests above the limit are allowed, and only counted. */
      readonly shadow: boolean;
    }
  | { readonly kind: "quota"; readonly quota: DescriptorQuota; readonly shadow: boolean }
  | { readonly kind: "unlimited" };

/** The entries of the policy that may follow one entry of a descriptor, or begin it. */
export interface DescriptorLevel {
  /** By key, then by value. */
  readonly exact: ReadonlyMap<string, ReadonlyMap<string, DescriptorNode>>;
  /** Values that begin with the text before a trailing `*`; the longest first. */
  readonly prefixes: ReadonlyMap<string, readonly (readonly [prefix: string, node: DescriptorNode])[]>;
  /** By key, for every other value. */
  readonly any: ReadonlyMap<string, DescriptorNode>;
}

export interface DescriptorNode {
  /** Absent: a descriptor that ends here has no limit. */
  readonly limit?: DescriptorLimit;
  readonly next: DescriptorLevel;
}

/**
 * The limit for exactly these entries, in their order; undefined if the policy has none. An entry with the value comes before one
 * with its beginning, and that before one without a value.
 */
export function limitOfDescriptor(
  first: DescriptorLevel,
  entries: readonly DescriptorEntry[],
): DescriptorLimit | undefined {
  let level = first;
  let node: DescriptorNode | undefined;
  for (const entry of entries) {
    node = nodeOf(level, entry);
    if (node === undefined) return undefined;
    level = node.next;
  }
  return node?.limit;
}

function nodeOf({ exact, prefixes, any }: DescriptorLevel, { key, value }: DescriptorEntry) {
  const found = exact.get(key)?.get(value);
  if (found !== undefined) return found;
  for (const [prefix, node] of prefixes.get(key) ?? []) if (value.startsWith(prefix)) return node;
  return any.get(key);
}
