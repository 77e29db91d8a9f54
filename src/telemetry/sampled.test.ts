import { expect, test } from "vitest";
import { createSampled } from "./sampled.ts";

test("one line per minute is logged, with the number of events that were not logged", () => {
  let nowMs = 0;
  const lines: string[] = [];
  const log = createSampled(
    () => nowMs,
    (unlogged, what: string) => lines.push(`${what}, ${unlogged}`),
  );
  for (const what of ["first", "second", "third"]) log(what);
  nowMs = 61_000;
  log("later");
  log("at once");
  nowMs = 130_000;
  log("last");
  expect(lines).toEqual(["first, 0", "later, 2", "last, 1"]);
});
