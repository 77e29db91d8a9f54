import { fileURLToPath } from "node:url";
import { forgetNotes, PLATFORMS, type Platform, readNote } from "./platforms.ts";
import type { TestResults } from "./test-results.ts";
import { closingLine, runVitest } from "./test-results.ts";

/** `npm run test:platforms` runs what we ship on real platforms, and prints what ran. `--long` adds those that must be built. */
const long = process.argv.includes("--long");

forgetNotes();
const tested = runVitest(["platforms", ...(long ? ["platforms-built"] : [])]);
const rows = [
  ["platform", "version", "result"],
  ...Object.entries(PLATFORMS).map(([file, title]) => rowOf(file as Platform, title, tested)), // Its own keys.
];
const widths = [0, 1].map((at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
console.log(
  `\n${rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")).join("\n")}`,
);
console.log(`\n${closingLine(tested)}`);
process.exitCode = tested.ok ? 0 : 1;

function rowOf(file: Platform, title: string, { testResults }: TestResults): readonly string[] {
  const path = fileURLToPath(new URL(`../test/platforms/${file}`, import.meta.url));
  const statuses = testResults.find(({ name }) => name === path)?.assertionResults;
  const note = readNote(file);
  if (statuses === undefined) return [title, "", "not run: needs --long"];
  const versions = note?.versions ?? "";
  if (note?.notRun !== undefined) return [title, versions, `not run: ${note.notRun}`];
  const passed = statuses.filter(({ status }) => status === "passed").length;
  const all = statuses.length;
  return [title, versions, passed === all && all > 0 ? `${all} passed` : `${passed} of ${all} passed`];
}
