import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { PLATFORMS } from "../../scripts/platforms.ts";
import { removeAtEnd } from "../support/at-end.ts";

const script = (path: string) => fileURLToPath(new URL(`../../scripts/${path}`, import.meta.url));

/** The last line of CI after runs with these counts of passed, failed and skipped tests. */
function lastLine(runs: Readonly<Record<string, readonly [number, number, number]>>, exitCode: number) {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-results-"));
  removeAtEnd(folder);
  mkdirSync(join(folder, ".test-results"));
  for (const [name, [numPassedTests, numFailedTests, numPendingTests]] of Object.entries(runs)) {
    const results = { numPassedTests, numFailedTests, numPendingTests, testResults: [] };
    writeFileSync(join(folder, `.test-results/${name}.json`), JSON.stringify(results));
  }
  const args = [script("closing-line.ts"), String(exitCode)];
  return spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" }).stdout;
}

test("every test file of a platform has a row in the table, and every row a file", () => {
  const folder = fileURLToPath(new URL("../platforms", import.meta.url));
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".test.ts"),
  );
  expect(files.sort()).toEqual(Object.keys(PLATFORMS).sort());
});

test("the last line of CI adds up all runs, and has a failure whenever a step has failed", () => {
  expect(lastLine({ tests: [10, 0, 0], platforms: [5, 0, 0] }, 0)).toBe("15 passed, 0 failed\n");
  expect(lastLine({ tests: [10, 2, 1], platforms: [5, 1, 0] }, 1)).toBe("15 passed, 3 failed, 1 skipped\n");
  // The linter has failed, or a run had no results.
  expect(lastLine({ tests: [10, 0, 0] }, 1)).toBe("10 passed, 1 failed\n");
  expect(lastLine({}, 1)).toBe("0 passed, 1 failed\n");
});
