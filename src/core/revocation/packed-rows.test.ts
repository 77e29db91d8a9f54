import { expect, test } from "vitest";
import { createPackedRows } from "./packed-rows.ts";

const ROWS = 200;

function filled() {
  const rows = createPackedRows(2);
  for (let at = 0; at < ROWS; at++) rows.set(`r${at}`, [at, -at]);
  const read = (name: string) => [0, 1].map((column) => rows.number(rows.placeOf(name), column));
  return { rows, read };
}

test("every row keeps its numbers while the rows grow", () => {
  const { rows, read } = filled();
  expect(rows.size()).toBe(ROWS);
  for (let at = 0; at < ROWS; at++) expect(read(`r${at}`)).toEqual([at, -at]);
  expect(new Set([...rows.entries()].map(([, place]) => place)).size).toBe(ROWS);
});

test("a row is replaced at its place, and a shorter one leaves no old number", () => {
  const { rows, read } = filled();
  const place = rows.placeOf("r7");
  rows.set("r7", [5]);
  expect([rows.placeOf("r7"), read("r7"), rows.size()]).toEqual([place, [5, 0], ROWS]);
});

test("a deleted row is unknown, and its place is used again", () => {
  const { rows, read } = filled();
  const place = rows.placeOf("r7");
  rows.delete("r7");
  rows.delete("r7");
  rows.delete("unknown");
  expect([rows.placeOf("r7"), rows.size()]).toEqual([-1, ROWS - 1]);
  rows.set("new", [1, 2]);
  rows.set("next", [3, 4]);
  expect([rows.placeOf("new"), read("new"), read("next"), read("r8")]).toEqual([
    place,
    [1, 2],
    [3, 4],
    [8, -8],
  ]);
  expect(rows.placeOf("next")).not.toBe(place);
});

test("a row that was never written has no number", () => {
  expect(createPackedRows(2).number(9999, 0)).toBe(0);
});
