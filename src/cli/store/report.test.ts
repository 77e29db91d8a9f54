import { expect, test } from "vitest";
import type { ComparedKind } from "../../core/copy/copy.ts";
import { formatReport, isComplete } from "./report.ts";

const side = { rows: 1, digest: "0" };

function kind(name: string, missing: number, countsChecks: boolean): ComparedKind {
  return { name, source: side, target: side, missing, countsChecks };
}

test("a copy is complete although Checks have counted since; a comparison says what is missing", () => {
  const copied = [{ name: "keys", read: 1, written: 1, conflicts: [] }];
  const counted = [kind("keys", 0, false), kind("usage", 1, true)];
  expect(isComplete({ copied, compared: counted })).toBe(true);
  expect(formatReport({ copied, compared: counted })).toContain("except for what Checks have counted");
  expect(isComplete({ compared: counted })).toBe(false);
  expect(isComplete({ copied, compared: [kind("keys", 1, false), kind("usage", 1, true)] })).toBe(false);
  expect(isComplete({ compared: [kind("keys", 0, false), kind("usage", 0, true)] })).toBe(true);
});
