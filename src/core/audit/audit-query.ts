import type { AuditStore, StoredEvent } from "./ports.ts";

/** An event matches if it has all given values, and if its time lies in the given range. */
export interface AuditFilter
  extends Readonly<
    Partial<Record<"event" | "outcome" | "actor" | "keyId" | "family" | "owner" | "role", string | undefined>>
  > {
  /** Milliseconds since 1970. */
  readonly fromMs?: number;
  /** The first millisecond after the range. */
  readonly toMs?: number;
}

/** Where to read: the newest events, the newest before a cursor, those after a cursor, or with `oldest` all from the first on. */
export interface AuditPage {
  readonly after?: string;
  readonly before?: string;
  readonly limit: number;
}

export interface FoundEvents {
  /** Oldest first. */
  readonly events: readonly StoredEvent[];
  /** Where a query for later events continues; undefined if there is no event at all. */
  readonly cursor: string | undefined;
  /** Where a query for earlier events continues; undefined if none can match, and after a query with `after`. */
  readonly earlier: string | undefined;
}

/** Instead of a cursor: reads from the first event on. */
export const OLDEST = "oldest";

/** Events read at a time: enough for a filter that few events match, few enough not to delay Checks. */
const PORTION = 500;
const PORTIONS = 10;
/** The date of an event and the time at which it was written come from clocks that may differ. */
const CLOCKS_DIFFER_MS = 3_600_000;

/**
 * With a filter a result can hold fewer events than `limit`, or none, although more match: its cursors say where reading
 * continues.
 */
export function readEvents(store: AuditStore, filter: AuditFilter, page: AuditPage): Promise<FoundEvents> {
  const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY, ...fields } = filter;
  const wanted = Object.entries(fields).filter(([, value]) => value !== undefined);
  const matches = ({ event }: StoredEvent) => {
    if (event.atMs < fromMs || event.atMs >= toMs) return false;
    const { owner = event.family } = event;
    const known = new Map<string, unknown>(Object.entries({ ...event, owner }));
    return wanted.every(([name, value]) => known.get(name) === value);
  };
  const isFiltered =
    wanted.length > 0 || fromMs !== Number.NEGATIVE_INFINITY || toMs !== Number.POSITIVE_INFINITY;
  const reading = { matches, limit: page.limit, portion: isFiltered ? PORTION : page.limit };
  return page.after === undefined
    ? readNewest(store, { ...reading, fromMs }, page.before)
    : readAfter(store, reading, page.after === OLDEST ? undefined : page.after);
}

interface Reading {
  readonly matches: (event: StoredEvent) => boolean;
  readonly limit: number;
  readonly portion: number;
}

async function readNewest(
  store: AuditStore,
  { matches, limit, portion, fromMs }: Reading & { readonly fromMs: number },
  from: string | undefined,
): Promise<FoundEvents> {
  let found: StoredEvent[] = [];
  let cursor: string | undefined;
  let before = from;
  let isMore = true;
  for (let at = 0; at < PORTIONS && isMore && found.length < limit; at++) {
    const page = await store.read({ limit: portion, ...(before !== undefined && { before }) });
    cursor ??= page.at(-1)?.cursor;
    found = [...page.filter(matches), ...found];
    before = page[0]?.cursor ?? before;
    // All events before one that was written before the range are older than the range.
    const isBeforeRange = page.some(({ writtenMs = fromMs }) => writtenMs < fromMs - CLOCKS_DIFFER_MS);
    isMore = page.length === portion && !isBeforeRange;
  }
  const events = found.slice(-limit);
  return { events, cursor, earlier: found.length > limit ? events[0]?.cursor : isMore ? before : undefined };
}

async function readAfter(
  store: AuditStore,
  { matches, limit, portion }: Reading,
  after: string | undefined,
): Promise<FoundEvents> {
  const events: StoredEvent[] = [];
  let cursor = after;
  const found = () => ({ events, cursor, earlier: undefined });
  for (let at = 0; at < PORTIONS; at++) {
    const from = cursor === undefined ? ({ fromOldest: true } as const) : { after: cursor };
    const page = await store.read({ limit: portion, ...from });
    for (const event of page) {
      cursor = event.cursor;
      if (matches(event)) events.push(event);
      if (events.length === limit) return found();
    }
    if (page.length < portion) break;
  }
  return found();
}
