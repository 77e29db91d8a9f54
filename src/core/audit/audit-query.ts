import type { AuditStore, StoredEvent } from "./ports.ts";

/** An event matches if it has all given values. */
export type AuditFilter = Readonly<
  Partial<Record<"event" | "outcome" | "actor" | "keyId" | "family" | "owner" | "role", string | undefined>>
>;

export interface FoundEvents {
  /** Oldest first. */
  readonly events: readonly StoredEvent[];
  /** Where the next query continues; undefined if there is no event at all. */
  readonly cursor: string | undefined;
}

/** Events read at a time: enough for a filter that few events match, few enough not to delay Checks. */
const PORTION = 500;
const PORTIONS = 10;

/**
 * The newest events that match, or those after a cursor. With a filter a result can hold fewer events than `limit`, or none,
 * although more match: `cursor` is the position up to which events were read.
 */
export function readEvents(
  store: AuditStore,
  filter: AuditFilter,
  { after, limit }: { readonly after?: string; readonly limit: number },
): Promise<FoundEvents> {
  const wanted = Object.entries(filter).filter(([, value]) => value !== undefined);
  const matches = ({ event }: StoredEvent) => {
    const { owner = event.family } = event;
    const fields = new Map<string, unknown>(Object.entries({ ...event, owner }));
    return wanted.every(([name, value]) => fields.get(name) === value);
  };
  const portion = wanted.length === 0 ? limit : PORTION;
  return after === undefined
    ? readNewest(store, matches, limit, portion)
    : readAfter(store, matches, { after, limit, portion });
}

type Matches = (event: StoredEvent) => boolean;

async function readNewest(
  store: AuditStore,
  matches: Matches,
  limit: number,
  portion: number,
): Promise<FoundEvents> {
  let found: StoredEvent[] = [];
  let cursor: string | undefined;
  let before: string | undefined;
  for (let at = 0; at < PORTIONS && found.length < limit; at++) {
    const page = await store.read({ limit: portion, ...(before !== undefined && { before }) });
    cursor ??= page.at(-1)?.cursor;
    found = [...page.filter(matches), ...found];
    before = page[0]?.cursor;
    if (page.length < portion) break;
  }
  return { events: found.slice(-limit), cursor };
}

async function readAfter(
  store: AuditStore,
  matches: Matches,
  { after, limit, portion }: { readonly after: string; readonly limit: number; readonly portion: number },
): Promise<FoundEvents> {
  const events: StoredEvent[] = [];
  let cursor = after;
  for (let at = 0; at < PORTIONS; at++) {
    const page = await store.read({ limit: portion, after: cursor });
    for (const event of page) {
      cursor = event.cursor;
      if (matches(event)) events.push(event);
      if (events.length === limit) return { events, cursor };
    }
    if (page.length < portion) break;
  }
  return { events, cursor };
}
