import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PHASES } from "../legacy/migration.ts";
import type { FeedEntry } from "./feed-entry.ts";
import { decodeFeedEntry, encodeFeedEntry } from "./feed-entry.ts";

const text = fc.string({ unit: "binary", maxLength: 20 });
const date = fc.integer({ min: 1, max: 253_402_300_799 });
const version = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const entries: fc.Arbitrary<FeedEntry> = fc.oneof(
  fc
    .record({ keyId: text, version, expiresAt: date, revoked: fc.boolean(), disabled: fc.boolean() })
    .chain((key) =>
      fc
        .record({ notAfter: date }, { requiredKeys: [] })
        .map((end) => ({ kind: "key" as const, ...key, ...end })),
    ),
  fc.record({ kind: fc.constant("family" as const), family: text, until: date }),
  fc.record({
    kind: fc.constant("cutoff" as const),
    scope: fc.constantFrom("all" as const, "role" as const, "owner" as const),
    subject: text,
    before: date,
    until: date,
  }),
  fc
    .record({ phase: fc.constantFrom(...PHASES), chosen: fc.boolean(), version })
    .chain((state) =>
      fc.record({ deprecatedAt: date }, { requiredKeys: [] }).map((since) => ({ ...state, ...since })),
    )
    .map((state) => ({ kind: "phase" as const, state })),
  fc.record({ kind: fc.constant("legacy" as const), keyIds: fc.array(text, { maxLength: 4 }) }),
  fc.record({ kind: fc.constant("buckets" as const), bucketIds: fc.array(text, { maxLength: 4 }) }),
);

test("every instance reads an entry as the one that published it", () => {
  fc.assert(
    fc.property(entries, (entry) => {
      const line = encodeFeedEntry(entry);
      expect(line).not.toContain("\n");
      expect(decodeFeedEntry(line)).toEqual(entry);
    }),
  );
});

/** One entry of each kind, with all its parts, as text: stores keep it, and instances of other versions read it. */
const LINES = [
  ['["k","basic_1_x",7,100,3,90]', "key"],
  ['["f","fam_x",100]', "family"],
  ['["c","owner","acme",50,100]', "cutoff"],
  ['["o",7,"f","fam_x",100,{"p":"team"}]', "override"],
  ['["b","b1","b2"]', "buckets"],
  ['["p","deprecated",1,50,7]', "phase"],
  ['["l","id1","id2"]', "legacy"],
] as const;

describe.each(LINES)("the stored entry %s", (line, kind) => {
  const parts: readonly unknown[] = JSON.parse(line);

  test("is an entry, and its text does not change between versions", () => {
    const entry = decodeFeedEntry(line);
    expect(entry?.kind).toBe(kind);
    expect(entry && encodeFeedEntry(entry)).toBe(line);
  });

  test("is damaged if a part has another type, wherever the part is", () => {
    for (const [at, part] of parts.entries())
      for (const other of [null, true, 1.5, [], typeof part === "string" ? 5 : "5"]) {
        const damaged = JSON.stringify(parts.with(at, other));
        expect([damaged, decodeFeedEntry(damaged)]).toEqual([damaged, undefined]);
      }
  });

  test("is damaged without one of its parts, unless that part belongs to a list or may be absent", () => {
    const required =
      kind === "buckets" || kind === "legacy" ? 1 : kind === "override" || kind === "key" ? 5 : parts.length;
    for (let length = 0; length < required; length++) {
      const damaged = JSON.stringify(parts.slice(0, length));
      expect([damaged, decodeFeedEntry(damaged)]).toEqual([damaged, undefined]);
    }
  });
});

test("parts that a later version adds at the end are ignored", () => {
  expect(decodeFeedEntry('["k","a",7,100,1,0,"more"]')).toEqual(decodeFeedEntry('["k","a",7,100,1,0]'));
  expect(decodeFeedEntry('["k","a",7,100,7,0]')).toMatchObject({ revoked: true, disabled: true });
  expect(decodeFeedEntry('["f","a",7,1]')).toEqual({ kind: "family", family: "a", until: 7 });
});

test.each(["", "{", "null", "5", '"k"', "{}", '{"0":"k"}', "[]", '["z","a",1]', '["c","plan","a",1,2]'])(
  "the text %j is no entry of this version",
  (line) => expect(decodeFeedEntry(line)).toBeUndefined(),
);

test.each(["deprecate", "", "toString", "Silent"])("the phase %j does not exist", (phase) => {
  expect(decodeFeedEntry(JSON.stringify(["p", phase, 1, 0, 7]))).toBeUndefined();
});
