import { describe, expect, test } from "vitest";
import type { AuditEvent } from "./audit-event.ts";
import type { AuditFilter } from "./audit-query.ts";
import { OLDEST, readEvents } from "./audit-query.ts";
import type { AuditStore, StoredEvent } from "./ports.ts";

const HOUR_MS = 3_600_000;

/** Events at these times, in the order in which they were written. `isCopied`: written at an unknown time. */
function storeOf(events: readonly (Partial<AuditEvent> & { readonly isCopied?: true })[]) {
  let reads = 0;
  const limits = new Set<number>();
  const stored = events.map(({ atMs = 0, isCopied, ...more }, at): StoredEvent => {
    const known = { eventId: `e${at}`, event: "key_revoked", outcome: "done", actor: "a" } as const;
    const event = { ...known, atMs, ...more };
    return { cursor: String(at), event, ...(isCopied ? {} : { writtenMs: atMs }) };
  });
  const audit: Pick<AuditStore, "read"> = {
    async read({ after, before = String(stored.length), fromOldest, limit }) {
      reads++;
      limits.add(limit);
      if (fromOldest) return stored.slice(0, limit);
      if (after !== undefined) return stored.slice(Number(after) + 1, Number(after) + 1 + limit);
      return stored.slice(Math.max(0, Number(before) - limit), Number(before));
    },
  };
  const none = async () => [];
  const store: AuditStore = { ...audit, claim: none, done: async () => {}, sweep: async () => {} };
  return { store, reads: () => reads, limits };
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

const idsOf = ({ events }: { readonly events: readonly StoredEvent[] }) =>
  events.map(({ event }) => event.eventId);
const numbered = (count: number) => Array.from({ length: count }, (_, at) => ({ atMs: at }));

describe("an event matches", () => {
  const events: readonly Partial<AuditEvent>[] = [
    { atMs: 10, event: "key_refreshed", outcome: "refused", actor: "key:k0" },
    { atMs: 20, keyId: "k1", family: "f1", owner: "acme", role: "basic" },
    { atMs: 30, keyId: "k2", family: "f2" },
  ];

  test.each<readonly [filter: AuditFilter, ids: readonly string[]]>([
    [{}, ["e0", "e1", "e2"]],
    [{ event: undefined, keyId: undefined }, ["e0", "e1", "e2"]],
    [{ event: "key_refreshed" }, ["e0"]],
    [{ outcome: "done" }, ["e1", "e2"]],
    [{ actor: "key:k0" }, ["e0"]],
    [{ keyId: "k1" }, ["e1"]],
    [{ family: "f2" }, ["e2"]],
    [{ role: "basic" }, ["e1"]],
    [{ owner: "acme" }, ["e1"]],
    // A family without an owner owns itself.
    [{ owner: "f2" }, ["e2"]],
    [{ owner: "f1" }, []],
    [{ keyId: "k1", outcome: "refused" }, []],
    [{ fromMs: 20 }, ["e1", "e2"]],
    [{ toMs: 20 }, ["e0"]],
    [{ fromMs: 20, toMs: 21 }, ["e1"]],
  ])("%j", async (filter, ids) => {
    for (const after of [{}, { after: OLDEST }])
      expect(idsOf(await readEvents(storeOf(events).store, filter, { limit: 9, ...after }))).toEqual(ids);
  });
});

describe("the newest events", () => {
  test("are read at once without a filter, and the cursors lead to later and earlier ones", async () => {
    const { store, reads, limits } = storeOf(numbered(10));
    const { cursor, earlier, ...page } = await readEvents(store, {}, { limit: 3 });
    expect([idsOf(page), cursor, earlier]).toEqual([["e7", "e8", "e9"], "9", "7"]);
    expect(idsOf(await readEvents(store, {}, { limit: 3, before: "7" }))).toEqual(["e4", "e5", "e6"]);
    expect([reads(), [...limits]]).toEqual([2, [3]]);
  });

  test("end with the first one, and an empty store has no cursor", async () => {
    const { store } = storeOf(numbered(2));
    expect(await readEvents(store, {}, { limit: 3 })).toMatchObject({ cursor: "1", earlier: undefined });
    const all = await readEvents(store, { actor: "a" }, { limit: 2 });
    expect([idsOf(all), all.earlier]).toEqual([["e0", "e1"], undefined]);
    const none = { events: [], cursor: undefined, earlier: undefined };
    expect(await readEvents(storeOf([]).store, {}, { limit: 3 })).toEqual(none);
  });

  test("of a filter are the last ones that match, and the cursor still leads to all later ones", async () => {
    const events = numbered(700).map(({ atMs }) => ({ atMs, actor: atMs % 100 === 0 ? "rare" : "a" }));
    const { store, limits } = storeOf(events);
    const page = await readEvents(store, { actor: "rare" }, { limit: 2 });
    expect([idsOf(page), page.cursor, page.earlier]).toEqual([["e500", "e600"], "699", "500"]);
    expect([...limits]).toEqual([500]);
  });
});

describe("the events after a cursor", () => {
  test("continue where a page has ended, and have no earlier ones", async () => {
    const { store, limits } = storeOf(numbered(5));
    const first = await readEvents(store, {}, { after: OLDEST, limit: 2 });
    expect([idsOf(first), first.cursor, first.earlier]).toEqual([["e0", "e1"], "1", undefined]);
    const second = await readEvents(store, {}, { after: "1", limit: 2 });
    expect([idsOf(second), second.cursor]).toEqual([["e2", "e3"], "3"]);
    const last = await readEvents(store, {}, { after: "3", limit: 2 });
    expect([idsOf(last), last.cursor]).toEqual([["e4"], "4"]);
    expect(await readEvents(store, {}, { after: "4", limit: 2 })).toMatchObject({ events: [], cursor: "4" });
    expect([...limits]).toEqual([2]);
  });

  test("of a filter continue after the last match of a full page", async () => {
    const { store } = storeOf(numbered(1200));
    const page = await readEvents(store, { fromMs: 600 }, { after: OLDEST, limit: 2 });
    expect([idsOf(page), page.cursor]).toEqual([["e600", "e601"], "601"]);
  });

  test("of a filter that few match are read in bounded portions, and the cursor says how far", async () => {
    const { store, reads, limits } = storeOf(numbered(6000));
    const page = await readEvents(store, { actor: "unknown" }, { after: OLDEST, limit: 2 });
    expect([page.events, page.cursor]).toEqual([[], "4999"]);
    expect([reads(), [...limits]]).toEqual([10, [500]]);
    expect(await readEvents(store, { actor: "unknown" }, { after: "4999", limit: 2 })).toMatchObject({
      cursor: "5999",
    });
    // The last portion was not full.
    expect(reads()).toBe(13);
  });
});
