import { expect, test } from "vitest";
import { judgePosting } from "./posting.ts";

test.each([
  ["the first posting of an instance", 0, { number: 1, after: 0 }, "count"],
  ["a posting that follows the last one", 4, { number: 7, after: 4 }, "count"],
  ["a posting of an instance that keeps nothing", 4, { number: 7, after: 0 }, "count"],
  ["the last posting, sent again", 7, { number: 7, after: 0 }, "repeat"],
  ["an earlier posting, delivered late", 7, { number: 5, after: 4 }, "repeat"],
  ["a posting to a store that has lost the one before", 3, { number: 7, after: 4 }, "behind"],
  ["a posting to a store that has lost everything", 0, { number: 7, after: 4 }, "behind"],
] as const)("%s", (_, lastNumber, posting, judged) => {
  expect(judgePosting(lastNumber, posting)).toBe(judged);
});
