import { describe, expect, test } from "vitest";
import { KEY, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import type { KeyFilter } from "./key-filter.ts";
import type { KeyCounts, KeyViews, ListDeps } from "./key-listing.ts";
import { countKeys, listKeys } from "./key-listing.ts";
import type { KeyRecord } from "./key-record.ts";
import type { KeyListing } from "./ports.ts";

type Query = Parameters<KeyListing["page"]>[0];

const key = (number: number, more: Partial<KeyRecord> = {}): KeyRecord => ({
  ...KEY,
  keyId: `key ${number}`,
  family: `family ${number}`,
  ...more,
});
const keys = (count: number, more: (number: number) => Partial<KeyRecord> = () => ({})) =>
  Array.from({ length: count }, (_, number) => key(number, more(number)));

/** A store with these keys. It has one index: the caller sees which part it was asked for. */
function start(records: readonly KeyRecord[], used: ReadonlyMap<string, number> = new Map()) {
  const { registry } = scriptedRegistry();
  const queries: Query[] = [];
  const looked: (readonly string[])[] = [];
  const deps: ListDeps = {
    ...registry,
    store: {
      async page(query) {
        queries.push(query);
        const { cursor = "0", limit } = query;
        if (cursor === "gone") return "cursor_unknown";
        const from = Number(cursor);
        const entries = records
          .slice(from, from + limit)
          .map((record, at) => ({ record, cursor: `${from + at + 1}` }));
        return from + limit < records.length ? { entries, nextCursor: `${from + limit}` } : { entries };
      },
      async lastUsed(keyIds) {
        looked.push(keyIds);
        return used;
      },
    },
  };
  const { view } = registry;
  return { deps, view, queries, looked };
}

function found<T extends KeyViews | KeyCounts>(page: T | "cursor_unknown"): T {
  if (page === "cursor_unknown") throw new Error(page);
  return page;
}

async function list({ deps }: ReturnType<typeof start>, filter: KeyFilter, limit: number, cursor?: string) {
  const page = found(await listKeys(deps, filter, { limit, ...(cursor !== undefined && { cursor }) }));
  return { ...page, ids: page.views.map(({ record }) => record.keyId) };
}

/** Every page until the last one. */
async function listAll(store: ReturnType<typeof start>, filter: KeyFilter, limit: number) {
  const pages: (readonly string[])[] = [];
  let cursor: string | undefined;
  do {
    const { ids, nextCursor } = await list(store, filter, limit, cursor);
    pages.push(ids);
    cursor = nextCursor;
  } while (cursor !== undefined);
  return pages;
}

const idsOf = (records: readonly KeyRecord[]) => records.map(({ keyId }) => keyId);

describe("a page of keys", () => {
  test("has as many keys as requested, and the last one has no cursor", async () => {
    const store = start(keys(5));
    expect(await list(store, {}, 2)).toMatchObject({
      ids: ["key 0", "key 1"],
      examined: 2,
      nextCursor: "2",
    });
    const last = await list(store, {}, 2, "4");
    expect(last.ids).toEqual(["key 4"]);
    expect(last).not.toHaveProperty("nextCursor");
  });

  test("reads no more than it returns where the store has an index", async () => {
    const store = start(keys(5));
    await list(store, {}, 2);
    await list(store, { owner: "acme" }, 2);
    await list(store, { family: "family 4" }, 2, "4");
    expect(store.queries.map(({ limit, of }) => [limit, of])).toEqual([
      [2, undefined],
      [2, { owner: "acme" }],
      [2, { family: "family 4" }],
    ]);
  });

  test("of more than 250 keys is read in portions", async () => {
    const store = start(keys(400));
    const { ids } = await list(store, {}, 300);
    expect(ids).toHaveLength(300);
    expect(store.queries).toEqual([{ limit: 250 }, { limit: 50, cursor: "250" }]);
  });

  test("of a filter without an index reads 250 at a time, and continues behind the last listed key", async () => {
    const records = keys(300, (number) => ({ role: number % 3 === 0 ? "basic" : "contributor" }));
    const store = start(records);
    const matching = idsOf(records.filter(({ role }) => role === "basic"));
    expect(await list(store, { role: "basic" }, 2)).toMatchObject({ nextCursor: "4", examined: 250 });
    expect(store.queries).toEqual([{ limit: 250 }]);
    const pages = await listAll(store, { role: "basic" }, 30);
    expect(pages.flat()).toEqual(matching);
    expect(pages.slice(0, -1).every(({ length }) => length === 30)).toBe(true);
  });

  test("is full although no portion has enough keys", async () => {
    const records = keys(750, (number) => ({ role: number % 250 === 9 ? "basic" : "contributor" }));
    expect(await list(start(records), { role: "basic" }, 2)).toMatchObject({
      ids: ["key 9", "key 259"],
      examined: 500,
      nextCursor: "500",
    });
  });

  test("ends after 2,000 records, although it may hold no key then", async () => {
    const records = keys(2300, (number) => ({ role: number === 2200 ? "basic" : "contributor" }));
    const store = start(records);
    expect(await list(store, { role: "basic" }, 2)).toMatchObject({
      ids: [],
      examined: 2000,
      nextCursor: "2000",
    });
    expect(store.queries).toHaveLength(8);
    expect(await listAll(store, { role: "basic" }, 2)).toEqual([[], ["key 2200"]]);
  });

  test("has each key's last use, and its status with what has ended its family", async () => {
    const store = start(keys(3), new Map([["key 1", NOW - 5]]));
    store.view.apply([{ kind: "family", family: "family 2", until: NOW + 9 }]);
    const { views } = await list(store, {}, 3);
    expect(views).toStrictEqual([
      { record: key(0), status: "active" },
      { record: key(1), status: "active", lastUsedAt: NOW - 5 },
      { record: key(2), status: "revoked" },
    ]);
    expect((await list(store, { status: "revoked" }, 3)).ids).toEqual(["key 2"]);
  });

  test("of unused keys has those whose last use, or whose issue, was before that time", async () => {
    const records = [key(0), key(1), key(2, { issuedAt: NOW - 99 }), key(3, { issuedAt: NOW - 99 })];
    const used = new Map([
      ["key 0", NOW - 5],
      ["key 1", NOW - 60],
      ["key 3", NOW - 5],
    ]);
    const store = start(records, used);
    const { ids, views } = await list(store, { unusedSince: NOW - 50 }, 4);
    expect(ids).toEqual(["key 1", "key 2"]);
    expect(views[0]).toMatchObject({ lastUsedAt: NOW - 60 });
    // Once for all of them, not for the page again.
    expect(store.looked).toEqual([idsOf(records)]);
  });

  test("after a cursor that the store does not know does not exist", async () => {
    const { deps } = start(keys(1));
    expect(await listKeys(deps, {}, { limit: 1, cursor: "gone" })).toBe("cursor_unknown");
    expect(await countKeys(deps, {}, "gone")).toBe("cursor_unknown");
  });
});

describe("the counts of keys", () => {
  test("are by status, and of what Checks accept", async () => {
    const records = [
      key(0),
      key(1, { disabled: true }),
      key(2, { revokedAt: NOW }),
      key(3, { expiresAt: NOW }),
      key(4, { successor: { keyId: "next", at: NOW - 9, notAfter: NOW + 1 } }),
      key(5, { successor: { keyId: "next", at: NOW - 9, notAfter: NOW } }),
      key(6),
    ];
    const store = start(records);
    store.view.apply([{ kind: "family", family: "family 6", until: NOW + 9 }]);
    expect(await countKeys(store.deps, {})).toStrictEqual({
      byStatus: { active: 1, disabled: 1, revoked: 2, expired: 1, superseded: 2 },
      live: 2,
      examined: 7,
    });
  });

  test("have the newest last use of a matching key", async () => {
    const records = keys(4, (number) => ({ role: number === 3 ? "basic" : "contributor" }));
    const used = new Map([
      ["key 0", NOW - 50],
      ["key 1", NOW - 7],
      ["key 2", NOW - 90],
      ["key 3", NOW],
    ]);
    expect(await countKeys(start(records, used).deps, { role: "contributor" })).toMatchObject({
      lastUsedAt: NOW - 7,
      live: 3,
      examined: 4,
    });
  });

  test("come in parts of 2,000 records, which together have every key once", async () => {
    const store = start(keys(2001));
    const first = found(await countKeys(store.deps, { owner: "acme" }));
    expect(first).toMatchObject({ live: 2000, examined: 2000, nextCursor: "2000" });
    expect(store.queries[0]).toEqual({ limit: 250, of: { owner: "acme" } });
    const last = found(await countKeys(store.deps, {}, first.nextCursor));
    expect(last).toMatchObject({ live: 1, examined: 1 });
    expect(last).not.toHaveProperty("nextCursor");
  });
});
