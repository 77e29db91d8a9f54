import { expect, test } from "vitest";
import { parseImportLine } from "../../src/api/legacy/import-line.ts";
import { csvReader } from "../../src/cli/import/csv.ts";

const KEY = "sk-live-0123";

test("a file without a heading, or with members named by the keys, is rejected without a key in the problem", () => {
  const problems = [
    JSON.stringify(csvReader(["api_key", "role"])(`${KEY},user`, 1)),
    parseImportLine(`{"${KEY}":{}}`, 1),
  ];
  for (const problem of problems) {
    expect(problem).toContain("unknown fields");
    expect(problem).not.toContain(KEY);
  }
});

test("a misspelled field is named", () => {
  expect(csvReader(["expires_at"])("expires", 1)).toMatchObject({
    problem: expect.stringContaining('"expires"'),
  });
  expect(parseImportLine('{"expires":1}', 1)).toContain('"expires"');
});
