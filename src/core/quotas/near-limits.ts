import type { QuotaAdmin } from "../limits/ports.ts";
import type { Mode, Policy, QuotaCount, QuotaSubject } from "../policy/policy.ts";
import type { SurveyRun } from "../survey/survey.ts";
import { createCalendars } from "./calendar.ts";
import type { CounterUse } from "./quota-counter.ts";

/** A counter of which a large share is taken. */
export interface NearLimit extends QuotaCount {
  readonly quota: string;
  /** The family, owner or role that uses it. */
  readonly subject: string;
  readonly mode: Mode;
  readonly used: number;
  readonly leased: number;
  /** The limit of the last request that took from it. */
  readonly limit: number;
  /** Percent of the limit that is used or leased, rounded down. It can exceed 100. */
  readonly percent: number;
  /** Milliseconds since 1970. */
  readonly resetsAtMs: number;
}

export interface NearLimits {
  /** At most {@link MAX_NEAR} of each mode, those with the largest share first. */
  readonly counters: Readonly<Record<Mode, readonly NearLimit[]>>;
  /** The numbers of counters, by percent from {@link MIN_PERCENT} on; the last place has all from 100 on. */
  readonly byPercent: Readonly<Record<Mode, readonly number[]>>;
  readonly countersRead: number;
}

/** A smaller share is not near the limit. */
export const MIN_PERCENT = 50;
const MAX_NEAR = 1000;

export function nearLimitsRun(
  quotas: Pick<QuotaAdmin, "uses">,
  policy: () => Pick<Policy, "quotaCounts">,
  storeNowMs: () => number,
): SurveyRun<NearLimits> {
  const calendars = createCalendars();
  // Each mode is listed by itself, and a quota in shadow mode may be exceeded by all.
  const found = { enforce: createLargest(), shadow: createLargest() };
  let countersRead = 0;
  const take = (use: CounterUse): void => {
    countersRead++;
    const near = nearLimit(use, policy(), (count) => calendars(count)(storeNowMs()));
    if (near !== undefined) found[near.mode].add(use.counterId, near);
  };
  return {
    soFar: () => ({
      counters: { enforce: found.enforce.counters(), shadow: found.shadow.counters() },
      byPercent: { enforce: found.enforce.byPercent, shadow: found.shadow.byPercent },
      countersRead,
    }),
    async read(pace) {
      for await (const uses of quotas.uses()) {
        for (const use of uses) take(use);
        await pace();
      }
    },
  };
}

/** The name of a quota contains no colon, and a subject may be any text. See `quotaDemands`. */
const COUNTER_ID = /^quota\/(shadow\/)?(key|owner|role):([^:]*):(.*)$/s;

/** Undefined for a counter of another window, of a quota that the policy does not have, or without a known limit. */
function nearLimit(
  { counterId, windowMs, used, leased, limit }: CounterUse,
  { quotaCounts }: Pick<Policy, "quotaCounts">,
  windowsOf: (count: QuotaCount) => { readonly startMs: number; readonly endMs: number },
): NearLimit | undefined {
  const [, shadow, per, quota = "", subject = ""] = COUNTER_ID.exec(counterId) ?? [];
  const count = quotaCounts.get(quota);
  if (count === undefined || !isSubject(per, count.per) || limit <= 0) return undefined;
  const { startMs, endMs } = windowsOf(count);
  const percent = Math.floor((100 * (used + leased)) / limit);
  // A policy can give a quota a longer window, within which that of the counter has begun.
  if (windowMs < startMs || windowMs >= endMs || percent < MIN_PERCENT) return undefined;
  const mode = shadow === undefined ? "enforce" : "shadow";
  return { ...count, quota, subject, mode, used, leased, limit, percent, resetsAtMs: endMs };
}

/** A policy can give the name of a quota to another kind of subject; its former counters have no effect then. */
function isSubject(text: string | undefined, per: QuotaSubject): boolean {
  return text === per;
}

/** Keeps the counters with the largest share, in bounded memory. */
function createLargest() {
  let kept = new Map<string, NearLimit>();
  const byPercent = new Array<number>(101 - MIN_PERCENT).fill(0);
  const largest = () =>
    [...kept].sort(([, one], [, other]) => other.percent - one.percent).slice(0, MAX_NEAR);
  return {
    byPercent,
    add(counterId: string, near: NearLimit): void {
      // A scan may find a counter twice.
      if (kept.has(counterId)) return;
      const place = Math.min(near.percent, 100) - MIN_PERCENT;
      byPercent[place] = (byPercent[place] ?? 0) + 1;
      kept.set(counterId, near);
      if (kept.size >= 2 * MAX_NEAR) kept = new Map(largest());
    },
    counters: () => largest().map(([, near]) => near),
  };
}
