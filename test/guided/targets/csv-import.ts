import assert from "node:assert/strict";
import { csvReader } from "../../../src/cli/import/csv.ts";
import type { Target } from "../target.ts";

const FIELDS = ["api_key", "name", "role", "owner"];

/** Each line becomes one object of known fields with text, or has a problem. The same object in quotes becomes the same line of JSON. */
function run(input: Buffer): void {
  const lines = input.toString("utf8").split("\n");
  const read = csvReader(FIELDS);
  for (const [index, line] of lines.entries()) {
    const result = read(line, index + 1);
    if ("problem" in result) {
      assert.doesNotMatch(result.problem, /[\n\r]/, "one line");
      if (index > 0) continue;
      const names = line.split(",").filter((name) => name.length >= 8 && /[^a-z_ ]/i.test(name));
      assert.ok(!names.some((name) => result.problem.includes(name.toLowerCase())), "a problem has no key");
      return;
    } else if (result.json !== "") expectCanonical(result.json);
  }
}

function expectCanonical(json: string): void {
  assert.doesNotMatch(json, /\n/, "one line");
  const object: unknown = JSON.parse(json);
  assert.ok(typeof object === "object" && object !== null && !Array.isArray(object));
  const entries = Object.entries(object);
  for (const [name, value] of entries)
    assert.ok(FIELDS.includes(name) && typeof value === "string" && value !== "", "known fields with text");
  const again = csvReader(FIELDS);
  again(entries.map(([name]) => name).join(","), 1);
  const quoted = entries.map(([, value]) => `"${String(value).replaceAll('"', '""')}"`).join(",");
  if (quoted.trim() !== "") assert.deepEqual(again(quoted, 2), { json });
}

export const target: Target = {
  run,
  files: ["cli/import/csv.ts"],
  maxBytes: 200,
  stepsPerByte: 60,
  runs: 40_000,
};
