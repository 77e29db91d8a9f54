import type { SurveyRun } from "../survey/survey.ts";
import type { UsageRecord, UsageSpan, UsageStore, UsageSubject } from "./ports.ts";
import type { OutcomeCounts } from "./usage-amount.ts";
import { addRequests, totalRequests } from "./usage-amount.ts";

/** What a list is ordered by. `cost` is the sum of the costs of allowed requests. */
export const USAGE_MEASURES = ["requests", "cost", "denied", "limited"] as const;
export type UsageMeasure = (typeof USAGE_MEASURES)[number];

/** What an owner, a family or a route has used in the whole period. */
export interface UsageSum {
  readonly name: string;
  /** Of a family. */
  readonly owner?: string;
  readonly requests: OutcomeCounts;
  /** Absent for a route. */
  readonly cost?: number;
}

type TopLists = Readonly<Record<UsageMeasure, readonly UsageSum[]>>;

/** The owners, families and routes with the most usage, largest first. */
export interface TopUsage {
  readonly owners: TopLists;
  readonly families: TopLists;
  readonly routes: TopLists;
  readonly familiesRead: number;
}

/** The longest list. */
export const MAX_TOP = 100;
/** Days of families that are read together: few enough not to delay Checks. */
const DAYS_PER_PORTION = 100;

/** @param span days since 1970 */
export function topUsageRun(
  store: Pick<UsageStore, "subjects" | "days">,
  span: UsageSpan,
): SurveyRun<TopUsage> {
  const [owners, families] = [createTop(), createTop()];
  // Bounded by the routes of the policy.
  const routes = new Map<string, OutcomeCounts>();
  let owner: (UsageSum & { cost: number }) | undefined;
  let familiesRead = 0;
  const addFamily = (subject: UsageSubject, days: readonly UsageRecord[]): void => {
    const sum = { ...emptySum(subject.family), owner: subject.owner };
    for (const day of days) {
      addRequests(sum.requests, day.requests);
      sum.cost += day.cost;
      for (const [route, counts] of day.routes) addRequests(countsOf(routes, route), counts);
    }
    familiesRead++;
    families.add(sum);
    // Subjects are in the order of their owners, so one owner's families follow one another.
    if (owner?.name !== subject.owner) {
      if (owner !== undefined) owners.add(owner);
      owner = emptySum(subject.owner);
    }
    addRequests(owner.requests, sum.requests);
    owner.cost += sum.cost;
  };
  return {
    soFar() {
      const all = createTop();
      for (const [name, requests] of routes) all.add({ name, requests });
      return { owners: owners.lists(owner), families: families.lists(), routes: all.lists(), familiesRead };
    },
    async read(pace) {
      const limit = Math.max(1, Math.floor(DAYS_PER_PORTION / (span.to - span.from)));
      let after: UsageSubject | undefined;
      do {
        const subjects = await store.subjects({ limit, ...(after && { after }) });
        const days = await Promise.all(subjects.map(({ family }) => store.days(family, span)));
        for (const [index, subject] of subjects.entries()) addFamily(subject, days[index] ?? []);
        after = subjects.length < limit ? undefined : subjects.at(-1);
        await pace();
      } while (after !== undefined);
    },
  };
}

function countsOf(routes: Map<string, OutcomeCounts>, name: string): OutcomeCounts {
  const counts = routes.get(name) ?? { allowed: 0, denied: 0, limited: 0 };
  routes.set(name, counts);
  return counts;
}

function emptySum(name: string) {
  return { name, requests: { allowed: 0, denied: 0, limited: 0 }, cost: 0 };
}

export function measureOf({ requests, cost = 0 }: UsageSum, measure: UsageMeasure): number {
  if (measure === "cost") return cost;
  return measure === "requests" ? totalRequests(requests) : requests[measure];
}

/** Keeps the largest sums by each measure, in bounded memory. */
function createTop() {
  const lists: Record<UsageMeasure, UsageSum[]> = { requests: [], cost: [], denied: [], limited: [] };
  const largest = (measure: UsageMeasure, sums: readonly UsageSum[]) =>
    sums
      .toSorted(
        (one, other) =>
          measureOf(other, measure) - measureOf(one, measure) || (one.name < other.name ? -1 : 1),
      )
      .slice(0, MAX_TOP);
  return {
    add(sum: UsageSum): void {
      for (const measure of USAGE_MEASURES) {
        if (measureOf(sum, measure) === 0) continue;
        lists[measure].push(sum);
        if (lists[measure].length >= 2 * MAX_TOP) lists[measure] = largest(measure, lists[measure]);
      }
    },
    /** @param growing a sum that is not added yet */
    lists(growing?: UsageSum): TopLists {
      const of = (measure: UsageMeasure) => {
        const isMore = growing !== undefined && measureOf(growing, measure) > 0;
        const more = isMore ? [{ ...growing, requests: { ...growing.requests } }] : [];
        return largest(measure, [...lists[measure], ...more]);
      };
      return { requests: of("requests"), cost: of("cost"), denied: of("denied"), limited: of("limited") };
    },
  };
}
