import { expect, test } from "vitest";
import { parsePolicy } from "./file.ts";

const problemsOf = (descriptors: string, domain = "edge") => {
  const text = `rate_limit_service: { domains: { ${domain}: { descriptors: [${descriptors}] } } }`;
  const parsed = parsePolicy({ text, fileName: "p" });
  return parsed.ok ? [] : parsed.problems;
};
const LIMIT = "rate_limit: { unit: second, requests_per_unit: 1 }";

test.each([
  ["half a limit", "{ key: a, rate_limit: { unit: second } }", "must have unit and requests_per_unit, or"],
  [
    "two kinds of limit",
    "{ key: a, rate_limit: { unit: second, requests_per_unit: 1, capacity: 1, refill: 1/s } }",
    "must have unit and requests_per_unit, or",
  ],
  ["unlimited: false", "{ key: a, rate_limit: { unlimited: false } }", "rate_limit.unlimited"],
  [
    "a longer unit",
    "{ key: a, rate_limit: { unit: year, requests_per_unit: 1 } }",
    '"year" is not second, minute, hour, day, week or month',
  ],
  ["no requests", "{ key: a, rate_limit: { unit: second, requests_per_unit: 0 } }", "requests_per_unit"],
  [
    "an entry twice",
    `{ key: a, value: b, ${LIMIT} }, { key: a, value: b, ${LIMIT} }`,
    'a second entry with the key "a"',
  ],
  [
    "an entry without a value twice",
    `{ key: a, ${LIMIT} }, { key: a, ${LIMIT} }`,
    'a second entry with the key "a"',
  ],
  ["a lone asterisk", `{ key: a, value: "*", ${LIMIT} }`, "omit the value for every value"],
  ["an entry without effect", "{ key: a }", "has neither a rate_limit nor descriptors"],
  [
    "shadow mode without a limit",
    "{ key: a, shadow_mode: true, rate_limit: { unlimited: true } }",
    "has no effect without a limit",
  ],
  ["an unknown field", `{ key: a, ratelimit: 1, ${LIMIT} }`, "unknown field, did you mean"],
])("%s is rejected with its line", (_name, descriptors, problem) => {
  const problems = problemsOf(descriptors);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(problem);
  expect(problems[0]).toMatch(/^p:1: rate_limit_service\.domains\.edge\.descriptors\[\d\]/);
});

test("the domain of Latchkey is reserved", () => {
  expect(problemsOf(`{ key: a, ${LIMIT} }`, "latchkey")).toEqual([
    "p:1: rate_limit_service.domains.latchkey: is reserved for Latchkey itself: use another domain",
  ]);
});

test("five levels are allowed, and six are not", () => {
  const nested = (levels: number): string =>
    levels === 1 ? `{ key: a, ${LIMIT} }` : `{ key: a, descriptors: [${nested(levels - 1)}] }`;
  expect(problemsOf(nested(5))).toEqual([]);
  expect(problemsOf(nested(6))).toHaveLength(1);
});
