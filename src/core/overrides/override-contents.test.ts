import { expect, test } from "vitest";
import { createOverrideContents } from "./override-contents.ts";

const quotas = [{ name: "monthly", limit: 5, extra: 0 }];

test("a content is found at its places, with its own note", () => {
  const contents = createOverrideContents();
  for (const content of [
    { plan: "team" },
    { plan: "team", note: "x" },
    { quotas, note: "y" },
    { note: "z" },
    {},
  ])
    expect(contents.get(...contents.add(content))).toStrictEqual(content);
  expect(contents.get(0, 0)).toBeUndefined();
});

test("contents with one plan and without quotas share their place, whatever their notes", () => {
  const contents = createOverrideContents();
  const [team] = contents.add({ plan: "team" });
  expect(contents.add({ plan: "team", note: "x" })[0]).toBe(team);
  expect(contents.add({ plan: "free" })[0]).not.toBe(team);
  expect(contents.add({ plan: "team", quotas })[0]).not.toBe(team);
});

test("the place of a removed content is used again, and a shared one stays", () => {
  const contents = createOverrideContents();
  const [team, note] = contents.add({ plan: "team", note: "x" });
  contents.remove(team, note);
  expect(contents.get(team, 0)).toStrictEqual({ plan: "team" });
  expect(contents.add({ plan: "team", note: "y" })).toEqual([team, note]);
  const [own] = contents.add({ quotas });
  const [other] = contents.add({ quotas });
  contents.remove(own, 0);
  contents.remove(own, 0);
  expect(contents.get(own, 0)).toBeUndefined();
  expect(contents.add({ plan: "gold", quotas })[0]).toBe(own);
  expect(contents.add({ quotas })[0]).not.toBe(other);
  // A content without a note has no place of a note to return.
  const noted = { quotas, note: "z" };
  expect(contents.get(...contents.add(noted))).toStrictEqual(noted);
});
