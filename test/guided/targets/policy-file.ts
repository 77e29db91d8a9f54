import assert from "node:assert/strict";
import { parseCases } from "../../../src/policy/cases.ts";
import { parsePolicy } from "../../../src/policy/file.ts";
import type { Target } from "../target.ts";

const MAX_PROBLEMS = 1000;
/** Without control characters, which a terminal would act on. */
const PROBLEM = /^p\.yaml:(\d+): [^\p{Cc}\p{Cf}\u2028\u2029]+$/u;

/** Any text is a policy, and a file of cases, or has problems each of which is one line and names a line of the file. */
function run(input: Buffer): void {
  const text = input.toString("utf8");
  const parsed = parsePolicy({ text, fileName: "p.yaml" });
  if (parsed.ok) assert.ok(parsed.policy.roles.size > 0, "a policy has the parts that the file omits");
  else expectLines(parsed.problems, text);
  const cases = parseCases(text, "p.yaml");
  if (!cases.ok) expectLines(cases.problems, text);
}

function expectLines(problems: readonly string[], text: string): void {
  assert.ok(problems.length > 0 && problems.length <= MAX_PROBLEMS, "the number of problems is bounded");
  const lines = text.split(/\r\n|\r|\n/).length;
  for (const problem of problems) {
    const line = Number(PROBLEM.exec(problem)?.[1]);
    assert.ok(line >= 1 && line <= lines, `a line of the file: ${problem}`);
  }
}

export const target: Target = {
  run,
  files: [
    "policy/file.ts",
    "policy/yaml-file.ts",
    "policy/cases.ts",
    "policy/lines.ts",
    "policy/consistency.ts",
    "policy/limit-lists.ts",
    "policy/plan-problems.ts",
    "policy/quota-problems.ts",
    "policy/units.ts",
  ],
  maxBytes: 4000,
  stepsPerByte: 2000,
  runs: 400,
};
