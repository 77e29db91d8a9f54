import type { AuditRow } from "./ports.ts";

/**
 * The id of an event, which is the same in every store. Its position is not: after a loss, a store can give a position to another
 * event, or write an event again at a later one. A damaged event has no id, so the position where it was written first names it.
 */
export function copiedEventId({ event, origin }: Pick<AuditRow, "event" | "origin">): string {
  return event.event === "damaged" ? `${origin.store} ${origin.cursor}` : event.eventId;
}

/** What a store knows of the events that it has removed. */
export interface RemovedEvents {
  readonly storeId: string;
  /** Logged events that are older (milliseconds) may have been removed. */
  readonly beforeMs: number;
  /** For each store from which this one has copies, the latest position of its copied events. */
  readonly copiedUntil: (store: string) => string | undefined;
}

/** Whether the store once had the event, and removes such events: it must not come back with each copy. */
export function isRemoved({ event, isLogged, origin }: AuditRow, removed: RemovedEvents): boolean {
  if (!isLogged || event.atMs >= removed.beforeMs) return false;
  const isOwn = origin.store === removed.storeId;
  return isOwn || !isAfter(origin.cursor, removed.copiedUntil(origin.store) ?? "0");
}

/** Whether a position is later than another one of the same store. Positions have the form `N` or `N-N`. */
export function isAfter(cursor: string, mark: string): boolean {
  const [high = 0, low = 0] = cursor.split("-").map(Number);
  const [markedHigh = 0, markedLow = 0] = mark.split("-").map(Number);
  return high > markedHigh || (high === markedHigh && low > markedLow);
}
