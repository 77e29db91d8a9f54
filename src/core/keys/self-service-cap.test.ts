import { expect, test } from "vitest";
import type { CommitOutcome } from "./key-change.ts";
import { commitBelowCap } from "./self-service-cap.ts";

/** Commits with these outcomes, and releases these numbers of keys. */
async function commitWith(outcomes: readonly CommitOutcome["kind"][], releases: readonly number[] = []) {
  const calls: string[] = [];
  const next = { outcome: 0, release: 0 };
  const result = await commitBelowCap(
    () => {
      calls.push("commit");
      return { kind: outcomes[next.outcome++] ?? expect.unreachable() } as CommitOutcome;
    },
    (limit) => {
      calls.push(`release ${limit}`);
      return releases[next.release++] ?? 0;
    },
  );
  return [result.kind, calls.join(", ")];
}

test("a commit below the limit checks no key", async () => {
  expect(await commitWith(["committed"])).toEqual(["committed", "commit"]);
  expect(await commitWith(["conflict"])).toEqual(["conflict", "commit"]);
});

test("at the limit, keys that have ended are released and the commit is repeated", async () => {
  expect(await commitWith(["full", "committed"], [3])).toEqual(["committed", "commit, release 250, commit"]);
  expect(await commitWith(["full", "full", "conflict"], [1, 0, 2])).toEqual([
    "conflict",
    "commit, release 250, commit, release 250, release 250, commit",
  ]);
});

test("after a thousand keys the limit counts as reached", async () => {
  const releases = ", release 250".repeat(4);
  expect(await commitWith(["full"])).toEqual(["full", `commit${releases}`]);
  const repeated = ", release 250, commit".repeat(4);
  expect(await commitWith(["full", "full", "full", "full", "full"], [1, 1, 1, 1])).toEqual([
    "full",
    `commit${repeated}`,
  ]);
});
