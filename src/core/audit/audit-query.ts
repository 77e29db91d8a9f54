import type { AuditStore, StoredEvent } from "./ports.ts";

/** Which events to read: all that are given must be so. */
export type AuditFilter = Readonly<
  Partial<Record<"event" | "outcome" | "actor" | "keyId" | "family" | "owner" | "role", string | undefined>>
>;

export interface FoundEvents {
  /** Oldest first. */
  readonly events: readonly StoredEvent[];
  /** Where to go on after; undefined while nothing has ever happened. */
  readonly cursor: string | undefined;
}

/** Events read for one answer: so many that a rare filter gets on, so few that no Check waits for it. */
const PORTION = 500;
const PORTIONS = 10;

/**
 * The newest events that fit, or those after a place. With a filter an answer may hold fewer than there are, even
 * none: `cursor` says how far it has got.
 */
export function readEvents(
  store: AuditStore,
  filter: AuditFilter,
  { after, limit }: { readonly after?: string; readonly limit: number },
): Promise<FoundEvents> {
  const wanted = Object.entries(filter).filter(([, value]) => value !== undefined);
  const fits = ({ event }: StoredEvent) => {
    const { owner = event.family } = event;
    const fields = new Map<string, unknown>(Object.entries({ ...event, owner }));
    return wanted.every(([name, value]) => fields.get(name) === value);
  };
  const portion = wanted.length === 0 ? limit : PORTION;
  return after === undefined
    ? readNewest(store, fits, limit, portion)
    : readAfter(store, fits, { after, limit, portion });
}

type Fits = (event: StoredEvent) => boolean;

async function readNewest(
  store: AuditStore,
  fits: Fits,
  limit: number,
  portion: number,
): Promise<FoundEvents> {
  let found: StoredEvent[] = [];
  let cursor: string | undefined;
  let before: string | undefined;
  for (let at = 0; at < PORTIONS && found.length < limit; at++) {
    const page = await store.read({ limit: portion, ...(before !== undefined && { before }) });
    cursor ??= page.at(-1)?.cursor;
    found = [...page.filter(fits), ...found];
    before = page[0]?.cursor;
    if (page.length < portion) break;
  }
  return { events: found.slice(-limit), cursor };
}

async function readAfter(
  store: AuditStore,
  fits: Fits,
  { after, limit, portion }: { readonly after: string; readonly limit: number; readonly portion: number },
): Promise<FoundEvents> {
  const events: StoredEvent[] = [];
  let cursor = after;
  for (let at = 0; at < PORTIONS; at++) {
    const page = await store.read({ limit: portion, after: cursor });
    for (const event of page) {
      cursor = event.cursor;
      if (fits(event)) events.push(event);
      if (events.length === limit) return { events, cursor };
    }
    if (page.length < portion) break;
  }
  return { events, cursor };
}
