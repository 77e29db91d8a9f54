import { fileURLToPath } from "node:url";
import { missingFor } from "../test/support/machine-needs.ts";
import type { Platform } from "./platforms.ts";
import { forgetNote, PLATFORMS, readNote } from "./platforms.ts";
import type { VitestRun } from "./test-results.ts";
import { closingLine, forgetResults, readResults, runVitest } from "./test-results.ts";

/**
 * `npm run test:platforms` runs what we ship on real platforms, and prints what ran. `--long` adds those that must be built.
 * `--after-tests` leaves out what `npm run test:all` has run just before. A platform for which the machine lacks something is
 * not run, and the table says what is missing.
 */
const long = process.argv.includes("--long");
const earlier = process.argv.includes("--after-tests") ? (["tests", "slow-tests"] as const) : [];
const before = earlier.flatMap((name) => readResults(name)?.testResults ?? []);

const NOTHING = { ok: true, numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, testResults: [] };
const pathOf = (file: Platform) => fileURLToPath(new URL(`../test/platforms/${file}`, import.meta.url));
const files = Object.keys(PLATFORMS) as Platform[]; // Its own keys.
const wanted = files.filter(
  (file) => (long || !file.startsWith("built/")) && !before.some(({ name }) => name === pathOf(file)),
);
const missing = new Map<Platform, string>();
for (const file of wanted) {
  const what = await missingFor(file);
  if (what !== undefined) missing.set(file, what);
}
const runnable = wanted.filter((file) => !missing.has(file));
for (const file of runnable) forgetNote(file);

forgetResults("platforms");
// Without a file, vitest would run all of them.
const tested = runnable.length === 0 ? NOTHING : runVitest(runOf(runnable));
const rows = [["platform", "version", "result"], ...files.map(rowOf)];
const widths = [0, 1].map((at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
console.log(
  `\n${rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")).join("\n")}`,
);
console.log(`\n${closingLine(tested)}`);
process.exit(tested.ok ? 0 : 1);

function runOf(run: readonly Platform[]): VitestRun {
  const paths = run.map((file) => `test/platforms/${file}`);
  return { name: "platforms", projects: ["platforms", "platforms-built"], files: paths };
}

function rowOf(file: Platform): readonly string[] {
  const title = PLATFORMS[file];
  const what = missing.get(file);
  if (what !== undefined) return [title, "", `not run: this machine lacks ${what}`];
  const ran = [...tested.testResults, ...before].find(({ name }) => name === pathOf(file));
  if (ran === undefined) return [title, "", "not run: needs --long"];
  const passed = ran.assertionResults.filter(({ status }) => status === "passed").length;
  const all = ran.assertionResults.length;
  const result = passed === all && all > 0 ? `${all} passed` : `${passed} of ${all} passed`;
  return [title, readNote(file)?.versions ?? "", result];
}
