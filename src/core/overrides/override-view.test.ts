import { execFileSync } from "node:child_process";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeFeedEntry, encodeFeedEntry } from "../revocation/feed-entry.ts";
import { createInstanceView } from "../revocation/instance-view.ts";
import type { OverrideSubject, StoredOverride } from "./override.ts";
import { isInForce, KEEP_CLEARED_SECONDS } from "./override.ts";
import { createOverrideView, NO_OVERRIDES } from "./override-view.ts";

const NOW = 1_800_000_000;
const DAY = 86_400;

const units = fc.integer({ min: 0, max: 10 ** 12 });
const content = fc.record(
  {
    plan: fc.constantFrom("free", "team"),
    quotas: fc.array(fc.record({ name: fc.constantFrom("monthly", "daily"), limit: units, extra: units }), {
      minLength: 1,
      maxLength: 2,
    }),
    note: fc.string({ unit: "grapheme", minLength: 1, maxLength: 10 }),
  },
  { requiredKeys: [], noNullPrototype: true },
);

/** Few subjects and versions, so that versions meet. One version can have several contents: two primaries can give it twice. */
const override: fc.Arbitrary<StoredOverride> = fc
  .record(
    {
      scope: fc.constantFrom("owner", "family"),
      subject: fc.constantFrom("a", "b"),
      version: fc.integer({ min: 1, max: 4 }).map((n) => NOW * 1000 + n),
      expiresAt: fc.integer({ min: NOW - 5, max: NOW + 5 }),
      content,
    },
    { requiredKeys: ["scope", "subject", "version"] },
  )
  .map(({ expiresAt, ...entry }) => ({
    kind: "override",
    ...entry,
    // A cleared override has no expiry.
    ...(expiresAt !== undefined && entry.content !== undefined && { expiresAt }),
  }));

function viewOf(...overrides: readonly StoredOverride[]) {
  const view = createInstanceView();
  view.apply(overrides);
  return view;
}

/** The entries in an order of their own. */
function entriesOf(view: ReturnType<typeof viewOf>): readonly string[] {
  return [...view.entries()].map(encodeFeedEntry).sort();
}

test("any order and any repetition, also with a gap and the snapshot of what came before it, gives the same view", () => {
  fc.assert(
    fc.property(
      fc.array(override, { maxLength: 12 }).chain((overrides) =>
        fc.record({
          overrides: fc.constant(overrides),
          shuffled: fc.shuffledSubarray([...overrides, ...overrides], { minLength: 2 * overrides.length }),
          from: fc.nat(overrides.length),
          to: fc.nat(overrides.length),
        }),
      ),
      ({ overrides, shuffled, from, to }) => {
        const all = entriesOf(viewOf(...overrides));
        expect(entriesOf(viewOf(...shuffled))).toEqual(all);
        // An instance misses a part of the feed, and loads the snapshot of a store that has that part.
        const store = viewOf(...overrides.slice(0, to));
        const late = viewOf(...overrides.slice(0, Math.min(from, to)));
        late.apply([...store.entries()]);
        late.apply(overrides.slice(to));
        expect(entriesOf(late)).toEqual(all);
      },
    ),
  );
});

test("of one subject the highest version counts, and an older one never applies again", () => {
  fc.assert(
    fc.property(fc.array(override, { minLength: 1, maxLength: 12 }), (overrides) => {
      const view = viewOf(...overrides);
      for (const { scope, subject } of overrides) {
        const same = overrides.filter((other) => other.scope === scope && other.subject === subject);
        const newest = Math.max(...same.map(({ version }) => version));
        expect(view.overrides.entryOf({ scope, subject })?.version).toBe(newest);
      }
    }),
  );
});

test("a view includes an override exactly if applying it changes nothing", () => {
  fc.assert(
    fc.property(fc.array(override, { maxLength: 6 }), override, (overrides, next) => {
      const view = viewOf(...overrides);
      const [before, generation] = [entriesOf(view), view.overrides.generation()];
      const included = view.includes(next);
      view.apply([next]);
      expect(included).toBe(entriesOf(view).join() === before.join());
      expect(included).toBe(view.overrides.generation() === generation);
    }),
  );
});

test("a feed entry keeps every part of an override, and damaged entries are skipped", () => {
  fc.assert(
    fc.property(override, (entry) => {
      expect(decodeFeedEntry(encodeFeedEntry(entry))).toEqual(entry);
    }),
  );
  for (const damaged of [
    '["o"]',
    '["o",1,"x","a",0]',
    '["o",-1,"f","a",0]',
    '["o",1,"f",2,0]',
    '["o",1,"f","a",null]',
    '["o",1,"f","a",0,null]',
    '["o",1,"f","a",0,[]]',
    '["o",1,"f","a",0,{"p":5}]',
    '["o",1,"f","a",0,{"p":"team","n":null}]',
    '["o",1,"f","a",0,{"q":[["m",1]]}]',
    '["o",1,"f","a",0,{"q":{}}]',
  ])
    expect([damaged, decodeFeedEntry(damaged)]).toEqual([damaged, undefined]);
});

const SUBJECTS: readonly OverrideSubject[] = (["owner", "family"] as const).flatMap((scope) =>
  ["a", "b"].map((subject) => ({ scope, subject })),
);

/** An override to apply, or a subject to forget. Versions have different numbers of digits. */
const step = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(override, fc.constantFrom(8, 9, 10, 11)) },
  { weight: 1, arbitrary: fc.constantFrom(...SUBJECTS) },
);

test("each subject has the override that was applied to it, and never that of another one", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const view = createOverrideView();
      const model = new Map<string, StoredOverride>();
      const nameOf = ({ scope, subject }: OverrideSubject) => `${scope} ${subject}`;
      for (const each of steps) {
        if ("subject" in each) {
          view.delete(each);
          model.delete(nameOf(each));
        } else {
          const [given, version] = each;
          const next = { ...given, version };
          const known = model.get(nameOf(next));
          // Another content of one version is the subject of other tests.
          if (known?.version === version) continue;
          view.apply(next);
          if (known === undefined || version > known.version) model.set(nameOf(next), next);
        }
        for (const of of SUBJECTS) {
          const wanted = model.get(nameOf(of));
          expect(view.entryOf(of)).toStrictEqual(wanted);
          const inForce = wanted !== undefined && isInForce(wanted, NOW * 1000) ? wanted : undefined;
          expect(view.inForce(of.scope, of.subject, NOW * 1000)).toStrictEqual(inForce);
        }
        expect(view.size()).toBe(model.size);
        expect([...view.entries()].map(nameOf).sort()).toEqual([...model.keys()].sort());
      }
    }),
  );
});

const acme = { scope: "owner", subject: "acme" } as const;
const TEAM: StoredOverride = { kind: "override", ...acme, version: 9, content: { plan: "team" } };

test("a subject without an entry has no override, whatever other subjects have", () => {
  const view = createOverrideView();
  for (const subject of ["b", "c", "d"]) view.apply({ ...TEAM, subject, expiresAt: NOW + 5 });
  for (const of of [acme, { scope: "family", subject: "b" }] as const) {
    expect(view.inForce(of.scope, of.subject, NOW * 1000)).toBeUndefined();
    expect(view.entryOf(of)).toBeUndefined();
    expect(view.includes({ ...TEAM, ...of })).toBe(false);
  }
  expect(NO_OVERRIDES.inForce("owner", "b", NOW * 1000)).toBeUndefined();
});

test("a version with more digits is the higher one", () => {
  const view = createOverrideView();
  for (const version of [9, 10, 9]) view.apply({ ...TEAM, version });
  expect(view.entryOf(acme)?.version).toBe(10);
});

test("every change has a generation of its own, so that a result of an earlier one is not used again", () => {
  const view = createOverrideView();
  const generations = [view.generation()];
  const after = (change: () => void) => {
    change();
    generations.push(view.generation());
  };
  after(() => view.apply(TEAM));
  after(() => view.delete(TEAM));
  after(() => view.apply(TEAM));
  after(() => view.apply({ ...TEAM, version: 10 }));
  after(() => view.clear());
  expect(new Set(generations).size).toBe(generations.length);
});

test("an override that is applied again is no change", () => {
  const view = createOverrideView();
  view.apply(TEAM);
  const generation = view.generation();
  expect(view.includes(TEAM)).toBe(true);
  view.apply(TEAM);
  expect(view.generation()).toBe(generation);
});

test("a cleared view has no override, and takes each one again", () => {
  const view = createOverrideView();
  const all = [TEAM, { ...TEAM, subject: "b" }, { ...TEAM, scope: "family" }] as const;
  for (const each of all) view.apply(each);
  view.clear();
  expect([[...view.entries()], view.size()]).toEqual([[], 0]);
  for (const each of all) view.apply(each);
  expect(view.size()).toBe(all.length);
});

test("the content of a replaced, a cleared and a deleted override is no longer kept", async () => {
  const view = createOverrideView();
  const kept: WeakRef<object>[] = [];
  const applyOwn = (subject: string, version: number) => {
    const quotas = [{ name: "monthly", limit: version, extra: 0 }];
    kept.push(new WeakRef(quotas));
    view.apply({ ...TEAM, subject, version, content: { quotas } });
  };
  for (const [index, subject] of ["replaced", "cleared", "deleted"].entries()) applyOwn(subject, index);
  view.apply({ ...TEAM, subject: "replaced", version: 20 });
  view.apply({ kind: "override", scope: "owner", subject: "cleared", version: 20 });
  view.delete({ scope: "owner", subject: "deleted" });
  applyOwn("present", 1);
  await nextTurn();
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  expect(kept.map((content) => content.deref() !== undefined)).toEqual([false, false, false, true]);
});

test("an override applies until its second, without an entry that ends it", () => {
  const entry = { scope: "owner", subject: "acme", version: NOW * 1000, content: { plan: "team" } } as const;
  const view = viewOf({ kind: "override", ...entry, expiresAt: NOW + 5 });
  const planAt = (ms: number) => view.overrides.inForce("owner", "acme", ms)?.content?.plan;
  expect(planAt((NOW + 5) * 1000 - 1)).toBe("team");
  expect(planAt((NOW + 5) * 1000)).toBeUndefined();
  expect(view.overrides.inForce("family", "acme", NOW * 1000)).toBeUndefined();
});

test("the sweep forgets what was cleared or has expired 30 days ago, and nothing else", async () => {
  const entry = { kind: "override", scope: "owner", version: NOW * 1000 } as const;
  const view = viewOf(
    { ...entry, subject: "cleared" },
    { ...entry, subject: "expired", expiresAt: NOW + DAY, content: { plan: "team" } },
    { ...entry, subject: "lasting", content: { plan: "team" } },
  );
  const subjects = () => [...view.overrides.entries()].map(({ subject }) => subject);
  await view.sweep((NOW + KEEP_CLEARED_SECONDS - 1) * 1000, nextTurn);
  expect(subjects()).toEqual(["cleared", "expired", "lasting"]);
  await view.sweep((NOW + KEEP_CLEARED_SECONDS) * 1000, nextTurn);
  expect(subjects()).toEqual(["expired", "lasting"]);
  await view.sweep((NOW + DAY + KEEP_CLEARED_SECONDS) * 1000, nextTurn);
  expect(subjects()).toEqual(["lasting"]);
  await view.sweep((NOW + 10_000 * DAY) * 1000, nextTurn);
  expect(subjects()).toEqual(["lasting"]);
});

test("100,000 overrides with a note of their own take less than 25 MB", () => {
  const fill = `
    import { createInstanceView } from ${JSON.stringify(new URL("../revocation/instance-view.ts", import.meta.url))};
    import { decodeFeedEntry } from ${JSON.stringify(new URL("../revocation/feed-entry.ts", import.meta.url))};
    const view = createInstanceView();
    const used = () => { gc(); gc(); const { heapUsed, arrayBuffers } = process.memoryUsage(); return heapUsed + arrayBuffers; };
    const before = used();
    for (let at = 0; at < 100_000; at++) {
      const subject = String(at).padStart(26, at % 2 === 0 ? "fam_" : "owner-");
      const content = { p: "team", n: "ticket " + String(at).padStart(25, "x") };
      view.apply([decodeFeedEntry(JSON.stringify(["o", 1_800_000_000_000 + at, at % 2 === 0 ? "f" : "o", subject, at % 3 === 0 ? ${NOW} + at : 0, content]))]);
    }
    console.log(JSON.stringify([view.size(), used() - before]));
  `;
  const args = ["--expose-gc", "--input-type=module", "--eval", fill];
  const [size, bytes] = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
  expect(size).toBe(100_000);
  expect(bytes).toBeLessThan(25_000_000);
});
