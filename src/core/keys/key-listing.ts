import type { KeyFilter } from "./key-filter.ts";
import { createMatcher, indexFor, isAnsweredByIndex, isUnusedSince } from "./key-filter.ts";
import type { KeyStatus } from "./key-record.ts";
import type { KeyView, StatusDeps } from "./key-view.ts";
import { isLive, viewOf, withLastUse } from "./key-view.ts";
import type { KeyListing, LastUseReader } from "./ports.ts";

export type ListDeps = StatusDeps & { readonly store: KeyListing & LastUseReader };

export interface KeyViews {
  readonly views: readonly KeyView[];
  /** The number of records that were read. */
  readonly examined: number;
  readonly nextCursor?: string;
}

/** Records read at a time: enough for a filter that few keys match, few enough not to delay Checks. */
const PORTION = 250;
const PORTIONS_PER_CALL = 8;

/**
 * One page of keys, oldest first. A page can hold fewer than `limit` keys, or none, although more follow: only a missing
 * cursor ends the list. A key that exists during the whole listing is listed once.
 */
export async function listKeys(
  deps: ListDeps,
  filter: KeyFilter,
  page: { readonly cursor?: string; readonly limit: number },
): Promise<KeyViews | "cursor_unknown"> {
  const views: KeyView[] = [];
  const readPortion = createReader(deps, filter);
  let [cursor, examined] = [page.cursor, 0];
  for (let portion = 0; portion < PORTIONS_PER_CALL && views.length < page.limit; portion++) {
    const capacity = page.limit - views.length;
    const found = await readPortion(cursor, isAnsweredByIndex(filter) ? capacity : PORTION);
    if (found === "cursor_unknown") return found;
    examined += found.examined;
    views.push(...found.matching.slice(0, capacity).map(({ view }) => view));
    cursor = found.matching.length > capacity ? found.matching[capacity - 1]?.cursor : found.nextCursor;
    if (cursor === undefined) break;
  }
  return {
    views: filter.unusedSince === undefined ? await withLastUse(deps, views) : views,
    examined,
    ...(cursor === undefined ? {} : { nextCursor: cursor }),
  };
}

/** What a change of all matching keys would affect. */
export interface KeyCounts {
  readonly byStatus: Readonly<Record<KeyStatus, number>>;
  /** Keys that Checks accept. */
  readonly live: number;
  /** The newest last use (NumericDate). Absent if no matching key was ever used. */
  readonly lastUsedAt?: number;
  /** The number of records that were read. */
  readonly examined: number;
  /** Counts of the next part are to be added. Absent for the last part. */
  readonly nextCursor?: string;
}

/** Counts the matching keys of one part of the registry. */
export async function countKeys(
  deps: ListDeps,
  filter: KeyFilter,
  from?: string,
): Promise<KeyCounts | "cursor_unknown"> {
  const byStatus = { active: 0, superseded: 0, disabled: 0, revoked: 0, expired: 0 };
  let [live, examined, lastUsedAt, cursor] = [0, 0, 0, from];
  const readPortion = createReader(deps, filter);
  for (let portion = 0; portion < PORTIONS_PER_CALL; portion++) {
    const found = await readPortion(cursor, PORTION);
    if (found === "cursor_unknown") return found;
    examined += found.examined;
    const nowSeconds = Math.floor(deps.nowMs() / 1000);
    for (const view of await withLastUse(
      deps,
      found.matching.map(({ view }) => view),
    )) {
      byStatus[view.status]++;
      if (isLive(view, nowSeconds)) live++;
      lastUsedAt = Math.max(lastUsedAt, view.lastUsedAt ?? 0);
    }
    cursor = found.nextCursor;
    if (cursor === undefined) break;
  }
  return {
    byStatus,
    live,
    examined,
    ...(lastUsedAt > 0 && { lastUsedAt }),
    ...(cursor !== undefined && { nextCursor: cursor }),
  };
}

/** Reads the records after a cursor, and finds those that match. With `unusedSince` the views have their last use. */
function createReader(deps: ListDeps, filter: KeyFilter) {
  const of = indexFor(filter);
  const matches = createMatcher(filter);
  const { unusedSince } = filter;
  return async (cursor: string | undefined, limit: number) => {
    const found = await deps.store.page({
      limit: Math.min(limit, PORTION),
      ...(of === undefined ? {} : { of }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (found === "cursor_unknown") return found;
    const candidates = found.entries
      .map(({ record, cursor: at }) => ({ view: viewOf(deps, record), cursor: at }))
      .filter(({ view }) => matches(view));
    const matching = unusedSince === undefined ? candidates : await unused(deps, candidates, unusedSince);
    return { matching, examined: found.entries.length, nextCursor: found.nextCursor };
  };
}

interface Candidate {
  readonly view: KeyView;
  readonly cursor: string;
}

async function unused(
  deps: ListDeps,
  candidates: readonly Candidate[],
  unusedSince: number,
): Promise<readonly Candidate[]> {
  const views = await withLastUse(
    deps,
    candidates.map(({ view }) => view),
  );
  return candidates.flatMap(({ view, cursor }, at) => {
    const known = views[at] ?? view;
    return isUnusedSince(known, unusedSince) ? [{ view: known, cursor }] : [];
  });
}
