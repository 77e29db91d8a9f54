import { z } from "zod";
import { CHARGE_DOMAIN } from "../core/charges/charge-receiver.ts";
import type { DescriptorLevel, DescriptorLimit, DescriptorNode } from "../core/limits/descriptor-limits.ts";
import { name } from "./names.ts";
import type { Problem } from "./problem.ts";
import { rate } from "./rates.ts";

/** Levels of nested descriptors. */
const MAX_DEPTH = 5;
/** Entries of all domains. */
const MAX_ENTRIES = 10_000;

/** Units of a bucket, with the seconds in which it refills. */
const SECONDS_IN = { second: 1, minute: 60, hour: 3600 } as const;
/** The longer ones are quotas, whose windows are those of the calendar in UTC. */
const UNITS = ["second", "minute", "hour", "day", "week", "month"] as const;
const MAX_CAPACITY = 1_000_000_000;

const text = z.string().min(1).max(1024);

const unit = z.string().transform((written, context) => {
  const found = UNITS.find((known) => known === written.toLowerCase());
  if (found !== undefined) return found;
  context.addIssue(`"${written}" is not second, minute, hour, day, week or month`);
  return z.NEVER;
});

const rateLimit = z
  .strictObject({
    unlimited: z.literal(true).optional(),
    unit: unit.optional(),
    requests_per_unit: z.int().min(1).max(MAX_CAPACITY).optional(),
    capacity: z.int().min(1).max(MAX_CAPACITY).optional(),
    refill: rate.optional(),
  })
  .refine(
    (limit) => FORMS.includes(Object.keys(limit).toSorted().join(" ")),
    "must have unit and requests_per_unit, or capacity and refill, or unlimited: true",
  );

const FORMS = ["requests_per_unit unit", "capacity refill", "unlimited"];

const entry = {
  key: text,
  value: text.optional(),
  rate_limit: rateLimit.optional(),
  shadow_mode: z.boolean().default(false),
};

export interface DescriptorDocument {
  readonly key: string;
  readonly value?: string | undefined;
  readonly rate_limit?: z.output<typeof rateLimit> | undefined;
  readonly shadow_mode: boolean;
  readonly descriptors?: readonly DescriptorDocument[] | undefined;
}

/** Every level is written out, so that the schema is finite. */
function descriptor(levels: number): z.ZodType<DescriptorDocument> {
  if (levels === 1) return z.strictObject(entry);
  return z.strictObject({ ...entry, descriptors: z.array(descriptor(levels - 1)).optional() });
}

export const rateLimitServiceSchema = z.strictObject({
  domains: z.record(name, z.strictObject({ descriptors: z.array(descriptor(MAX_DEPTH)) })).default({}),
});

export type RateLimitServiceDocument = z.output<typeof rateLimitServiceSchema>;

/** Checks that the schema cannot express. */
export function* rateLimitServiceProblems({ domains }: RateLimitServiceDocument): Generator<Problem> {
  let entries = 0;
  const at = ["rate_limit_service", "domains"];
  for (const [domain, { descriptors }] of Object.entries(domains)) {
    if (domain === CHARGE_DOMAIN)
      yield { path: [...at, domain], message: "is reserved for Latchkey itself: use another domain" };
    for (const { path, node, isRepeated } of visit(descriptors, [...at, domain, "descriptors"])) {
      entries++;
      if (isRepeated) yield { path, message: `a second entry with the key "${node.key}" and this value` };
      if (node.value === "*") yield { path: [...path, "value"], message: "omit the value for every value" };
      if (node.shadow_mode && node.rate_limit?.unlimited !== undefined)
        yield { path: [...path, "shadow_mode"], message: "has no effect without a limit" };
      if (node.rate_limit === undefined && (node.descriptors ?? []).length === 0)
        yield { path, message: "has neither a rate_limit nor descriptors" };
    }
  }
  if (entries > MAX_ENTRIES)
    yield { path: at, message: `has ${entries} descriptors, and at most ${MAX_ENTRIES} are allowed` };
}

interface Visited {
  readonly path: readonly PropertyKey[];
  readonly node: DescriptorDocument;
  readonly isRepeated: boolean;
}

function* visit(nodes: readonly DescriptorDocument[], at: readonly PropertyKey[]): Generator<Visited> {
  const seen = new Set<string>();
  for (const [index, node] of nodes.entries()) {
    const path = [...at, index];
    const identity = JSON.stringify([node.key, node.value]);
    yield { path, node, isRepeated: seen.has(identity) };
    seen.add(identity);
    yield* visit(node.descriptors ?? [], [...path, "descriptors"]);
  }
}

/** The descriptors of each domain. */
export function toRateLimitDomains({
  domains,
}: RateLimitServiceDocument): ReadonlyMap<string, DescriptorLevel> {
  return new Map(Object.entries(domains).map(([domain, { descriptors }]) => [domain, toLevel(descriptors)]));
}

function toLevel(nodes: readonly DescriptorDocument[]): DescriptorLevel {
  const exact = new Map<string, Map<string, DescriptorNode>>();
  const prefixes = new Map<string, (readonly [string, DescriptorNode])[]>();
  const any = new Map<string, DescriptorNode>();
  for (const document of nodes) {
    const { key, value } = document;
    const node = toNode(document);
    if (value === undefined) any.set(key, node);
    else if (value.endsWith("*"))
      prefixes.set(key, [...(prefixes.get(key) ?? []), [value.slice(0, -1), node]]);
    else exact.set(key, (exact.get(key) ?? new Map()).set(value, node));
  }
  for (const list of prefixes.values()) list.sort(([one], [other]) => other.length - one.length);
  return { exact, prefixes, any };
}

function toNode({ key, rate_limit, shadow_mode, descriptors = [] }: DescriptorDocument): DescriptorNode {
  const next = toLevel(descriptors);
  return rate_limit === undefined ? { next } : { limit: toLimit(key, rate_limit, shadow_mode), next };
}

function toLimit(
  name: string,
  { unit, requests_per_unit: perUnit = 1, capacity = perUnit, refill }: z.output<typeof rateLimit>,
  shadow: boolean,
): DescriptorLimit {
  if (unit === undefined && refill === undefined) return { kind: "unlimited" };
  if (unit === "day" || unit === "week" || unit === "month") {
    const quota = {
      name,
      per: "key",
      unit: "requests",
      every: unit,
      timeZone: "UTC",
      limit: perUnit,
    } as const;
    return { kind: "quota", shadow, quota };
  }
  const refillPerSecond = refill ?? perUnit / SECONDS_IN[unit ?? "second"];
  return { kind: "bucket", shadow, limit: { name, per: "key", leased: true, capacity, refillPerSecond } };
}
