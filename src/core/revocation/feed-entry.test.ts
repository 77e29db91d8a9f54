import { describe, expect, test } from "vitest";
import { PHASES } from "../legacy/migration.ts";
import type { FeedEntry } from "./feed-entry.ts";
import { decodeFeedEntry, encodeFeedEntry } from "./feed-entry.ts";

const key = { kind: "key", keyId: "a", version: 7, expiresAt: 100, revoked: false, disabled: false } as const;
const LATEST = { version: Number.MAX_SAFE_INTEGER, until: 253_402_300_799 };

test.each<FeedEntry>([
  key,
  { ...key, revoked: true },
  { ...key, disabled: true },
  { ...key, revoked: true, disabled: true, notAfter: LATEST.until, version: LATEST.version },
  { kind: "family", family: '\u0000\n"🔑', until: LATEST.until },
  { kind: "cutoff", scope: "all", subject: "", before: 1, until: 2 },
  { kind: "cutoff", scope: "role", subject: "basic", before: 2, until: 2 },
  { kind: "cutoff", scope: "owner", subject: "o:1,2]", before: 3, until: 2 },
  ...PHASES.map((phase) => ({ kind: "phase", state: { phase, chosen: false, version: 0 } }) as const),
  { kind: "phase", state: { phase: "removed", chosen: true, deprecatedAt: 5, version: LATEST.version } },
  { kind: "legacy", keyIds: [] },
  { kind: "legacy", keyIds: ["", "b,c"] },
  { kind: "buckets", bucketIds: [] },
  { kind: "buckets", bucketIds: ["a", "b"] },
])("every instance reads an entry as the one that published it: %j", (entry) => {
  const line = encodeFeedEntry(entry);
  expect(line).not.toContain("\n");
  expect(decodeFeedEntry(line)).toStrictEqual(entry);
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
