import type { NextTurn } from "../revocation/revocation-view.ts";
import { inSteps } from "../revocation/revocation-view.ts";
import type { OverrideSubject, StoredOverride } from "./override.ts";
import { isInForce } from "./override.ts";
import type { OverrideView } from "./override-view.ts";

/** Which overrides a page has. */
export interface OverridePage {
  /** Only overrides that name this plan. */
  readonly plan?: string;
  /** The page begins after this subject, which need not have an override. */
  readonly after?: OverrideSubject;
  /** The maximum number of overrides on the page. */
  readonly limit: number;
}

/**
 * Lists overrides that are in force: of owners, then of families, each by the code units of the subject. An override that applies
 * throughout a walk over all pages is on exactly one of them. Visits every override for each page, and yields between steps.
 */
export async function listOverrides(
  view: Pick<OverrideView, "entries">,
  { plan, after, limit }: OverridePage,
  nowMs: number,
  nextTurn: NextTurn,
): Promise<{ readonly overrides: readonly StoredOverride[]; readonly hasMore: boolean }> {
  /** The first subjects of those visited, in order: one more than the page has, which says that the page is not the last. */
  const first: StoredOverride[] = [];
  await inSteps(view.entries(), nextTurn, (override) => {
    if (after !== undefined && compareSubjects(override, after) <= 0) return;
    if (!isInForce(override, nowMs) || (plan !== undefined && override.content?.plan !== plan)) return;
    const last = first[limit];
    if (last !== undefined && compareSubjects(override, last) >= 0) return;
    const place = placeIn(first, override);
    // An entry that is removed and set again between two steps is visited twice.
    const isRepeated = first[place] !== undefined && compareSubjects(first[place], override) === 0;
    first.splice(place, isRepeated ? 1 : 0, override);
    if (first.length > limit + 1) first.pop();
  });
  return { overrides: first.slice(0, limit), hasMore: first.length > limit };
}

function compareSubjects(a: OverrideSubject, b: OverrideSubject): number {
  if (a.scope !== b.scope) return a.scope === "owner" ? -1 : 1;
  return a.subject < b.subject ? -1 : Number(a.subject > b.subject);
}

/** The place of the first subject that is not before the given one. */
function placeIn(sorted: readonly OverrideSubject[], subject: OverrideSubject): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = sorted[middle];
    if (at !== undefined && compareSubjects(at, subject) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
