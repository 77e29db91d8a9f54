import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { mutationsOf } from "../../test/support/mutated-text.ts";
import { parseCases } from "./cases.ts";
import { BUILT_IN_POLICY_FILE, parsePolicy } from "./file.ts";
import { readYaml } from "./yaml-file.ts";

const POLICY = readFileSync(BUILT_IN_POLICY_FILE, "utf8");
const CASES = readFileSync(new URL("../../latchkey.cases.yaml", import.meta.url), "utf8");

function problemsOf(text: string): readonly string[] {
  const read = readYaml(text, "p.yaml");
  return read.ok ? [] : read.problems;
}

const aliasBomb = ["a: &a [x, x, x, x, x, x, x, x, x]"]
  .concat(
    ["b", "c", "d", "e", "f"].map(
      (name, at) =>
        `${name}: &${name} [${"*abcde "
          .repeat(9)
          .trim()
          .replaceAll("abcde", "abcde"[at] ?? "")
          .replaceAll(" ", ", ")}]`,
    ),
  )
  .join("\n");

test.each([
  [
    "a pattern without its quotes",
    "routes:\n  - path: /a\n    hosts: [*.example.com]\n",
    /^p\.yaml:3: \*\.example\.com is a YAML alias.*quotes/,
  ],
  ["an alias without an anchor", "roles: *x", /^p\.yaml:1: \*x is a YAML alias/],
  [
    "a merge key",
    "x: &d { a: 1 }\nroles:\n  <<: *d\n",
    /^p\.yaml:3: YAML merge keys \(<<\) are not supported/,
  ],
  ["a merge of a scalar", "roles:\n  <<: 3\n", /^p\.yaml:2: YAML merge keys/],
  ["a merge of a scalar in YAML 1.1", "%YAML 1.1\n---\nroles:\n  <<: 3\n", /^p\.yaml:\d: .*[Mm]erge/],
  [
    "an alias as a name, behind which the same name can stand twice",
    "plans:\n  &x free: 1\n  *x : 2\n",
    /^p\.yaml:3: the alias \*x is a name: write the name out/,
  ],
  ["YAML 1.1, which reads 010 as 8", "%YAML 1.1\n---\nlimit: 010\n", /^p\.yaml:1: .* YAML 1\.2, not 1\.1/],
  [
    "an alias within its own anchor",
    "a: 1\nroles: &a\n  b: [*a]\n",
    /^p\.yaml:3: the alias \*a stands within its own anchor/,
  ],
  ["an alias bomb", aliasBomb, /^p\.yaml:1: the file cannot be read as YAML: Excessive alias count/],
  ["lists nested without end", "[".repeat(20_000), /^p\.yaml:1: it is nested too deeply/],
  [
    "blocks nested without end",
    Array.from({ length: 5000 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n"),
    /nested too deeply/,
  ],
  ["an unknown tag", "a: 1\nroles: !env ROLES\n", /^p\.yaml:2: Unresolved tag: !env/],
  ["two documents", "a: 1\n---\nb: 2\n", /^p\.yaml:2: Source contains multiple documents/],
])("%s is rejected with file and line", (_, text, expected) => {
  expect(problemsOf(text)[0]).toMatch(expected);
});

test("an anchor and its alias have the same value", () => {
  expect(readYaml("a: &x [1]\nb: *x\n", "p.yaml")).toMatchObject({ ok: true, value: { a: [1], b: [1] } });
});

test("any text of a policy is loaded, or rejected with file and line", () => {
  fc.assert(
    fc.property(mutationsOf(POLICY), (text) => {
      const result = parsePolicy({ text, fileName: "p.yaml" });
      if (!result.ok) {
        expect(result.problems.length).toBeGreaterThan(0);
        for (const problem of result.problems) expect(problem).toMatch(/^p\.yaml:[1-9]\d*: /);
        expect(result.problems.join("\n")).not.toContain("the policy cannot be loaded");
      }
    }),
    { numRuns: 500 },
  );
});

test("any text of a cases file is read, or rejected with file and line", () => {
  fc.assert(
    fc.property(mutationsOf(CASES), (text) => {
      const result = parseCases(text, "c.yaml");
      if (!result.ok) for (const problem of result.problems) expect(problem).toMatch(/^c\.yaml:[1-9]\d*: /);
    }),
    { numRuns: 200 },
  );
});

test("a problem is one line without control characters, which a terminal would act on", () => {
  const texts = [
    '"a\\rb\\e[2J": 1',
    '"a\\nb": 1',
    'roles: { "x\\u202e": 1 }',
    "? *a\u0007\n",
    "cases: [{ name: 1 }]\n? \u0085",
  ];
  for (const text of texts) {
    const [policy, cases] = [parsePolicy({ text, fileName: "p.yaml" }), parseCases(text, "p.yaml")];
    const problems = [policy, cases].flatMap((parsed) => (parsed.ok ? [] : parsed.problems));
    expect(problems.length, text).toBeGreaterThanOrEqual(2);
    for (const problem of problems) expect(problem).toMatch(/^p\.yaml:\d+: [^\p{Cc}\p{Cf}\u2028\u2029]+$/u);
  }
});
