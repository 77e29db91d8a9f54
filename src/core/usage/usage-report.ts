import type { UsageRecord, UsageSpan, UsageStore, UsageSubject } from "./ports.ts";
import type { OutcomeCounts } from "./usage-amount.ts";
import { addRequests, MAX_ROUTES } from "./usage-amount.ts";
import type { UsageRetention } from "./usage-time.ts";
import { DAY_SECONDS, HOUR_SECONDS } from "./usage-time.ts";

export const USAGE_PERIODS = ["hour", "day", "route"] as const;
/** What a row of a report stands for. Rows of routes cover the whole range. */
export type UsagePeriod = (typeof USAGE_PERIODS)[number];

export interface UsageRow extends UsageSubject {
  /** NumericDate of the start of the hour or day; absent for a route. */
  readonly startsAt?: number;
  readonly route?: string;
  readonly requests: OutcomeCounts;
  /** Absent for a route. */
  readonly cost?: number;
  readonly units?: Iterable<readonly [string, number]>;
}

/** NumericDates. Without `to`: until now. Without `from`: a day of hours, or 30 days. */
export interface UsageRange {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** A range in whole hours or days, which are those that it touches. */
export interface ReportSpan extends UsageSpan {
  readonly by: UsagePeriod;
  /** Seconds of an hour or a day. */
  readonly unitSeconds: number;
}

const DEFAULT_HOURS = 24;
const DEFAULT_DAYS = 30;

/** Returns what is wrong with the range, or the span. */
export function reportSpan(
  by: UsagePeriod,
  range: UsageRange,
  { hoursSeconds, daysSeconds }: UsageRetention,
  nowSeconds: number,
): ReportSpan | { readonly field: "from" | "to"; readonly problem: string } {
  const [unitSeconds, name, keptSeconds, usual] =
    by === "hour"
      ? ([HOUR_SECONDS, "hour", hoursSeconds, DEFAULT_HOURS] as const)
      : ([DAY_SECONDS, "day", daysSeconds, DEFAULT_DAYS] as const);
  const end = range.to ?? nowSeconds + 1;
  const to = Math.ceil(end / unitSeconds);
  const from = range.from === undefined ? to - usual : Math.floor(range.from / unitSeconds);
  if (range.from !== undefined && range.from >= end)
    return { field: "from", problem: `must be before ${range.to === undefined ? "the present time" : "to"}` };
  // One more, since a range of this length may begin within an hour or a day.
  const largest = Math.ceil(keptSeconds / unitSeconds) + 1;
  if (to - from > largest)
    return {
      field: "from",
      problem: `the range has ${to - from} ${name}s: the largest range by ${by} has ${largest} ${name}s`,
    };
  return { by, unitSeconds, from, to };
}

/** The rows of one family. */
export async function familyRows(
  store: Pick<UsageStore, "hours" | "days">,
  subject: UsageSubject,
  span: ReportSpan,
): Promise<readonly UsageRow[]> {
  if (span.by === "hour") return periodRows(subject, await store.hours(subject.family, span), span);
  const days = await store.days(subject.family, span);
  return span.by === "day" ? periodRows(subject, days, span) : routeRows(subject, days);
}

function periodRows(
  { owner, family }: UsageSubject,
  records: readonly UsageRecord[],
  { unitSeconds }: ReportSpan,
): readonly UsageRow[] {
  return records.map(({ at, requests, cost, units }) => ({
    owner,
    family,
    startsAt: at * unitSeconds,
    requests,
    cost,
    units,
  }));
}

function routeRows({ owner, family }: UsageSubject, days: readonly UsageRecord[]): readonly UsageRow[] {
  const byRoute = new Map<string, OutcomeCounts>();
  for (const { routes } of days)
    for (const [label, counts] of routes) {
      const sum = byRoute.get(label) ?? { allowed: 0, denied: 0, limited: 0 };
      addRequests(sum, counts);
      byRoute.set(label, sum);
    }
  return [...byRoute]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([route, requests]) => ({ owner, family, route, requests }));
}

export interface ReportFilter {
  readonly owner?: string;
  readonly family?: string;
}

export interface ReportPage {
  /** The last subject of the page before. */
  readonly after?: UsageSubject;
  /** Families per page. */
  readonly limit: number;
}

export interface UsageReport {
  readonly rows: readonly UsageRow[];
  /** Set if there may be another page. */
  readonly next?: UsageSubject;
}

/** Hours or days that a page reads, over all families, and rows that it has. */
const MAX_PERIODS_PER_PAGE = 4000;

/** The rows of all families that match, in the order of the store's subjects. */
export async function readUsage(
  store: Pick<UsageStore, "hours" | "days" | "subjects" | "ownerOf">,
  { owner, family }: ReportFilter,
  span: ReportSpan,
  { after, limit }: ReportPage,
): Promise<UsageReport> {
  if (family !== undefined) {
    const subject = { family, owner: (await store.ownerOf(family)) ?? family };
    return { rows: await familyRows(store, subject, span) };
  }
  const perFamily = Math.max(span.to - span.from, span.by === "route" ? MAX_ROUTES + 1 : 1);
  const most = Math.max(1, Math.min(limit, Math.floor(MAX_PERIODS_PER_PAGE / perFamily)));
  const page = { limit: most, ...(owner !== undefined && { owner }), ...(after && { after }) };
  const subjects = await store.subjects(page);
  const rows: UsageRow[] = [];
  for (const subject of subjects) rows.push(...(await familyRows(store, subject, span)));
  const next = subjects.length < most ? undefined : subjects.at(-1);
  return next === undefined ? { rows } : { rows, next };
}
