import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { z } from "zod";

/**
 * `npm test` runs the fast tests. `--all` adds the slow ones: browsers, failovers, second versions, long properties.
 * `--long` runs the random searches, each for an hour or for the time in its variable,
 * a hundred failovers of each kind, and the larger searches of the models.
 */
const all = process.argv.includes("--all");
const long = process.argv.includes("--long");
const LONG_SECONDS = "3600";
/** Of two kinds. */
const LONG_FAILOVERS = "200";
const RESULTS = ".test-results/vitest.json";
const counts = z.object({ numPassedTests: z.int(), numFailedTests: z.int(), numPendingTests: z.int() });

const projects = long ? ["long"] : ["unit", "contract", "e2e", ...(all ? ["slow"] : [])];
mkdirSync(".test-results", { recursive: true });
rmSync(RESULTS, { force: true });

const ok = [
  run("lint", "biome", ["ci", "--error-on-warnings", "."]),
  run("types", "tsc", ["--noEmit"]),
  run("tests", "vitest", [
    "run",
    ...projects.flatMap((project) => ["--project", project]),
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${RESULTS}`,
  ]),
].every(Boolean);

const { numPassedTests, numFailedTests, numPendingTests } = counts.parse(
  JSON.parse(readFileSync(RESULTS, "utf8")),
);
const skipped = numPendingTests === 0 ? "" : `, ${numPendingTests} skipped`;
console.log(`\n${numPassedTests} passed, ${numFailedTests} failed${skipped}`);
process.exitCode = ok ? 0 : 1;

/** npm puts node_modules/.bin on the path, which has these commands and Node 24. */
function run(name: string, command: string, args: readonly string[]): boolean {
  const env = long
    ? {
        FUZZ_SECONDS: LONG_SECONDS,
        HISTORY_SECONDS: LONG_SECONDS,
        SOAK_SECONDS: LONG_SECONDS,
        SENTINEL_FAILOVERS: LONG_FAILOVERS,
        MODEL_CHECKING: "whole",
        CLUSTER_FAILOVERS: LONG_FAILOVERS,
        ...process.env,
      }
    : process.env;
  const { status, error } = spawnSync(command, args, { stdio: "inherit", env });
  if (error !== undefined) console.error(`${name}: ${error.message}`);
  if (status !== 0) console.error(`${name} failed`);
  return status === 0;
}
