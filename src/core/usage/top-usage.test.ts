import { expect, test } from "vitest";
import type { UsageRecord, UsageSubject } from "./ports.ts";
import { MAX_TOP, topUsageRun } from "./top-usage.ts";

const SPAN = { from: 100, to: 107 };

function record(at: number, allowed: number, more: Partial<UsageRecord> = {}): UsageRecord {
  const requests = { allowed, denied: 0, limited: 0 };
  return { at, requests, cost: allowed, units: new Map(), routes: new Map([["r", requests]]), ...more };
}

/** A store of families by owner, in the order of a store. */
function storeOf(families: ReadonlyMap<string, readonly UsageRecord[]>, ownerOf: (family: string) => string) {
  const subjects = [...families.keys()]
    .map((family) => ({ owner: ownerOf(family), family }))
    .sort((one, other) => (`${one.owner}\0${one.family}` < `${other.owner}\0${other.family}` ? -1 : 1));
  let read = 0;
  return {
    mostTogether: 0,
    async subjects({ after, limit }: { readonly after?: UsageSubject; readonly limit: number }) {
      const from = after === undefined ? 0 : subjects.findIndex(({ family }) => family === after.family) + 1;
      this.mostTogether = Math.max(this.mostTogether, limit * (SPAN.to - SPAN.from));
      return subjects.slice(from, from + limit);
    },
    async days(family: string, { from, to }: { readonly from: number; readonly to: number }) {
      // Later calls respond first.
      for (let turn = 0; turn < 5 - (read++ % 5); turn++) await Promise.resolve();
      return (families.get(family) ?? []).filter(({ at }) => at >= from && at < to);
    },
  };
}

const pace = async () => undefined;

test("sums families, owners and routes over the days of the span, largest first", async () => {
  const limited = record(106, 0, {
    requests: { allowed: 0, denied: 2, limited: 50 },
    cost: 0,
    routes: new Map([["other", { allowed: 0, denied: 2, limited: 50 }]]),
  });
  const families = new Map([
    ["f1", [record(99, 1000), record(100, 5), record(103, 6)]],
    ["f2", [record(101, 8)]],
    ["f3", [limited]],
    ["f4", [record(107, 1000)]],
  ]);
  const run = topUsageRun(
    storeOf(families, (family) => (family === "f3" ? "zed" : "acme")),
    SPAN,
  );
  await run.read(pace);
  const { owners, families: byFamily, routes, familiesRead } = run.soFar();
  const names = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name);
  expect(familiesRead).toBe(4);
  expect(names(byFamily.requests)).toEqual(["f3", "f1", "f2"]);
  expect(byFamily.cost.map(({ name, owner, cost }) => [name, owner, cost])).toEqual([
    ["f1", "acme", 11],
    ["f2", "acme", 8],
  ]);
  expect(owners.requests).toEqual([
    { name: "zed", requests: { allowed: 0, denied: 2, limited: 50 }, cost: 0 },
    { name: "acme", requests: { allowed: 19, denied: 0, limited: 0 }, cost: 19 },
  ]);
  expect(names(owners.limited)).toEqual(["zed"]);
  expect(names(owners.cost)).toEqual(["acme"]);
  expect(names(routes.requests)).toEqual(["other", "r"]);
  expect(routes.requests[1]?.requests.allowed).toBe(19);
});

test("of any number of families it keeps the largest exactly, and reads few days at a time", async () => {
  const count = 1000;
  const families = new Map(
    Array.from({ length: count }, (_, at) => [`f${at}`, [record(101, 1 + ((at * 7919) % count))]] as const),
  );
  const store = storeOf(families, (family) => family);
  const run = topUsageRun(store, SPAN);
  let portions = 0;
  await run.read(async () => {
    portions++;
  });
  const { families: byFamily, owners } = run.soFar();
  const amounts = byFamily.requests.map(({ requests }) => requests.allowed);
  const expected = Array.from({ length: MAX_TOP }, (_, rank) => count - rank);
  expect(amounts).toEqual(expected);
  expect(owners.cost.map(({ cost }) => cost)).toEqual(expected);
  expect(store.mostTogether).toBeLessThanOrEqual(100);
  // Fourteen families have 98 days.
  expect(portions).toBe(Math.ceil(count / 14));
});

test("equal sums are in the order of their names", async () => {
  const families = new Map(["b", "c", "a"].map((family) => [family, [record(101, 5)]] as const));
  // The owners are read in the opposite order.
  const owners = new Map(Object.entries({ a: "z", b: "y", c: "x" }));
  const run = topUsageRun(
    storeOf(families, (family) => owners.get(family) ?? ""),
    SPAN,
  );
  await run.read(pace);
  expect(run.soFar().families.requests.map(({ name }) => name)).toEqual(["a", "b", "c"]);
  expect(run.soFar().owners.requests.map(({ name }) => name)).toEqual(["x", "y", "z"]);
});
