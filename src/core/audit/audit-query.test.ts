import { expect, test } from "vitest";
import { readEvents } from "./audit-query.ts";
import type { AuditStore, StoredEvent } from "./ports.ts";

const HOUR_MS = 3_600_000;

/** Events at these times, in the order in which they were written. `isCopied`: written at an unknown time. */
function storeOf(events: readonly { readonly atMs: number; readonly isCopied?: true }[]) {
  let reads = 0;
  const stored = events.map(({ atMs, isCopied }, at): StoredEvent => {
    const event = { eventId: `e${at}`, atMs, event: "key_revoked", outcome: "done", actor: "a" } as const;
    return { cursor: String(at), event, ...(isCopied ? {} : { writtenMs: atMs }) };
  });
  const audit: Pick<AuditStore, "read"> = {
    async read({ after, before = String(stored.length), fromOldest, limit }) {
      reads++;
      if (fromOldest) return stored.slice(0, limit);
      if (after !== undefined) return stored.slice(Number(after) + 1, Number(after) + 1 + limit);
      return stored.slice(Math.max(0, Number(before) - limit), Number(before));
    },
  };
  const none = async () => [];
  const store: AuditStore = { ...audit, claim: none, done: async () => {}, sweep: async () => {} };
  return { store, reads: () => reads };
}

test("a search back to a time ends at the first event that was written well before it", async () => {
  const { store, reads } = storeOf(Array.from({ length: 100_000 }, (_, at) => ({ atMs: at * 1000 })));
  const fromMs = 99_000_000;
  const first = await readEvents(store, { fromMs, actor: "unknown" }, { limit: 100 });
  // An hour of the clocks' difference is searched too: 3600 further events.
  expect([first.events.length, first.earlier]).toEqual([0, undefined]);
  expect(reads()).toBeLessThanOrEqual(10);
});

test("finds copied events of the time that were written later than newer ones", async () => {
  const copied = Array.from({ length: 700 }, (_, at) => ({ atMs: at, isCopied: true }) as const);
  const { store } = storeOf([{ atMs: 5 * HOUR_MS }, ...copied, { atMs: 9 * HOUR_MS }]);
  const { events, earlier } = await readEvents(store, { fromMs: 3, toMs: 5 }, { limit: 100 });
  expect([events.map(({ event }) => event.atMs), earlier]).toEqual([[3, 4], undefined]);
});

test("a call reads a bounded number of events, and the next one continues where it has stopped", async () => {
  const { store, reads } = storeOf(Array.from({ length: 20_000 }, (_, at) => ({ atMs: at })));
  let before: string | undefined;
  const found: number[] = [];
  for (let call = 0; call < 5; call++) {
    const page = await readEvents(
      store,
      { toMs: 2 },
      { limit: 100, ...(before !== undefined && { before }) },
    );
    expect(reads()).toBeLessThanOrEqual(10 * (call + 1));
    found.push(...page.events.map(({ event }) => event.atMs));
    before = page.earlier;
    if (before === undefined) break;
  }
  expect([found, before]).toEqual([[0, 1], undefined]);
});

test("pages back through matching events have every one of them once", async () => {
  const { store } = storeOf(Array.from({ length: 1203 }, (_, at) => ({ atMs: at })));
  const found: number[] = [];
  let before: string | undefined;
  do {
    const filter = { actor: "a", fromMs: 2, toMs: 1200 };
    const page = await readEvents(store, filter, { limit: 100, ...(before !== undefined && { before }) });
    found.unshift(...page.events.map(({ event }) => event.atMs));
    before = page.earlier;
  } while (before !== undefined);
  expect(found).toEqual(Array.from({ length: 1198 }, (_, at) => at + 2));
});
