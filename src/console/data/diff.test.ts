import fc from "fast-check";
import { expect, test } from "vitest";
import { diffLines, hunksOf } from "./diff.ts";

const signs = { kept: " ", removed: "-", added: "+" } as const;
const diff = (before: string, after: string) =>
  diffLines(before, after).map(({ kind, text }) => `${signs[kind]}${text}`);

test("a changed line is removed and added, and the lines around it are kept", () => {
  expect(diff("a\nb\nc\n", "a\nB\nc\n")).toEqual([" a", "-b", "+B", " c"]);
  expect(diff("", "a\n")).toEqual(["+a"]);
  expect(diff("a\r\nb\r\n", "a\nb")).toEqual([" a", " b"]);
});

test("both texts can be read from the comparison, and it has no more changes than needed", () => {
  const line = fc.constantFrom("a", "b", "c", "d");
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.array(line, { maxLength: 12 }), (old, fresh) => {
      const lines = diffLines(old.join("\n"), fresh.join("\n"));
      const textsOf = (other: string) => lines.filter(({ kind }) => kind !== other).map(({ text }) => text);
      expect(textsOf("added")).toEqual(old);
      expect(textsOf("removed")).toEqual(fresh);
      const changes = lines.filter(({ kind }) => kind !== "kept").length;
      expect(changes).toBe(old.length + fresh.length - 2 * longestCommon(old, fresh));
    }),
  );
});

function longestCommon(old: readonly string[], fresh: readonly string[]): number {
  const table = Array.from({ length: old.length + 1 }, () => Array<number>(fresh.length + 1).fill(0));
  const at = (row: number, column: number) => table[row]?.[column] ?? 0;
  for (let row = 1; row <= old.length; row++)
    for (let column = 1; column <= fresh.length; column++)
      table[row]?.splice(
        column,
        1,
        old[row - 1] === fresh[column - 1]
          ? at(row - 1, column - 1) + 1
          : Math.max(at(row - 1, column), at(row, column - 1)),
      );
  return at(old.length, fresh.length);
}

test("very different texts become one block", () => {
  const text = (name: string) => Array.from({ length: 3000 }, (_, at) => `${name} ${at}`).join("\n");
  const lines = diffLines(text("a"), text("b"));
  expect(lines.slice(0, 3000).every(({ kind }) => kind === "removed")).toBe(true);
  expect(lines).toHaveLength(6000);
});

test("a hunk has three lines around its changes, and changes that are close share one", () => {
  const old = Array.from({ length: 40 }, (_, at) => `line ${at}`);
  const fresh = old.map((line, at) => ([10, 14, 30].includes(at) ? "new" : line));
  const hunks = hunksOf(diffLines(old.join("\n"), fresh.join("\n")));
  const ranges = hunks.map(({ lines }) => [lines[0]?.oldNumber, lines.at(-1)?.oldNumber]);
  expect(ranges).toEqual([
    [8, 18],
    [28, 34],
  ]);
  expect(hunksOf(diffLines("a\nb", "a\nb"))).toEqual([]);
});
