import { setImmediate as nextTurn } from "node:timers/promises";
import { assert, asyncProperty, constantFrom, integer, record, uniqueArray } from "fast-check";
import { describe, expect, test } from "vitest";
import { listOverrides } from "./list-overrides.ts";
import type { OverrideSubject, StoredOverride } from "./override.ts";
import { createOverrideView } from "./override-view.ts";

const NOW_MS = 1_700_000_000_000;

function override(subject: string, parts: Partial<StoredOverride> = {}): StoredOverride {
  return { kind: "override", scope: "owner", subject, version: 1, content: { plan: "team" }, ...parts };
}

function viewOf(...overrides: readonly StoredOverride[]) {
  const view = createOverrideView();
  for (const each of overrides) view.apply(each);
  return view;
}

/** The subjects of each page, read with the last subject of the page before. */
async function pagesOf(view: ReturnType<typeof createOverrideView>, limit: number, plan?: string) {
  const pages: string[][] = [];
  let after: OverrideSubject | undefined;
  do {
    const page = { limit, ...(after && { after }), ...(plan !== undefined && { plan }) };
    const { overrides, hasMore } = await listOverrides(view, page, NOW_MS, nextTurn);
    pages.push(overrides.map(({ scope, subject }) => `${scope} ${subject}`));
    after = hasMore ? overrides.at(-1) : undefined;
    if (pages.length > view.size() + 1) throw new Error("the walk does not end");
  } while (after !== undefined);
  return pages;
}

test("pages of any size have every override in force once, owners first, in order", async () => {
  const entries = uniqueArray(
    record({
      scope: constantFrom<"owner" | "family">("owner", "family"),
      subject: constantFrom(..."abcdefghijklmnop", "é", "B", "a/b"),
      plan: constantFrom("team", "gold"),
      state: constantFrom("in force", "in force", "expires later", "expired", "cleared"),
    }),
    { maxLength: 25, selector: ({ scope, subject }) => `${scope} ${subject}` },
  );
  await assert(
    asyncProperty(
      entries,
      integer({ min: 1, max: 9 }),
      constantFrom("team", undefined),
      async (list, limit, plan) => {
        const stored = list.map(
          ({ scope, subject, plan: name, state }): StoredOverride => ({
            ...{ kind: "override", scope, subject, version: 1 },
            ...(state !== "cleared" && { content: { plan: name } }),
            ...(state === "expired" && { expiresAt: NOW_MS / 1000 }),
            ...(state === "expires later" && { expiresAt: NOW_MS / 1000 + 1 }),
          }),
        );
        const pages = await pagesOf(viewOf(...stored), limit, plan);
        const wanted = list
          .filter(({ state, plan: name }) =>
            state.startsWith("in force") || state === "expires later" ? (plan ?? name) === name : false,
          )
          .map(({ scope, subject }) => `${scope} ${subject}`);
        const inOrder = (scope: string) => wanted.filter((text) => text.startsWith(scope)).sort();
        expect(pages.flat()).toEqual([...inOrder("owner"), ...inOrder("family")]);
        expect(pages.slice(0, -1).every((page) => page.length === limit)).toBe(true);
        expect(pages).toHaveLength(Math.max(1, Math.ceil(wanted.length / limit)));
      },
    ),
  );
});

describe("while overrides change", () => {
  test("a page begins after its cursor also if that override is gone", async () => {
    const view = viewOf(override("a"), override("b"), override("c"));
    view.delete({ scope: "owner", subject: "b" });
    const page = { limit: 5, after: { scope: "owner", subject: "b" } } as const;
    expect(
      (await listOverrides(view, page, NOW_MS, nextTurn)).overrides.map(({ subject }) => subject),
    ).toEqual(["c"]);
  });

  test("an override that is loaded again between two steps is listed once, with its newer content", async () => {
    const names = Array.from({ length: 1500 }, (_, index) => `owner-${String(index).padStart(4, "0")}`);
    const view = viewOf(...names.map((name) => override(name)));
    const reload = async () => {
      view.delete({ scope: "owner", subject: "owner-0001" });
      view.apply(override("owner-0001", { version: 2, content: { plan: "gold" } }));
    };
    const { overrides } = await listOverrides(view, { limit: 3 }, NOW_MS, reload);
    expect(overrides.map(({ subject, content }) => [subject, content?.plan])).toEqual([
      ["owner-0000", "team"],
      ["owner-0001", "gold"],
      ["owner-0002", "team"],
    ]);
  });
});
