import { closingLine, forgetResults, runStep, runVitest } from "./test-results.ts";

/**
 * `npm test` runs the fast tests. `--all` adds the slow ones: browsers, failovers, second versions, long properties. With
 * `--after-tests` it leaves out the fast ones, which `npm test` has run just before.
 * `--long` runs the random searches for an hour each and the soak for two, or for the time in their variables,
 * a hundred failovers of each kind, the larger searches of the models, and the mutation tests.
 */
const all = process.argv.includes("--all");
const long = process.argv.includes("--long");
const afterTests = all && process.argv.includes("--after-tests");
const LONG_SECONDS = "3600";
const SOAK_SECONDS = "7200";
/** Of two kinds. */
const LONG_FAILOVERS = "200";

const FAST = ["unit", "contract", "e2e"];
const projects = long ? ["long"] : [...(afterTests ? [] : FAST), ...(all ? ["slow"] : [])];
const longEnvironment = {
  FUZZ_SECONDS: LONG_SECONDS,
  GUIDED_SECONDS: LONG_SECONDS,
  HISTORY_SECONDS: LONG_SECONDS,
  SOAK_SECONDS,
  HTTP2_MODEL_SECONDS: LONG_SECONDS,
  SENTINEL_FAILOVERS: LONG_FAILOVERS,
  CLUSTER_FAILOVERS: LONG_FAILOVERS,
  MODEL_CHECKING: "whole",
  ...process.env,
};

const checks = [
  ["lint", "biome", "ci", "--error-on-warnings", "."],
  ["types", "tsc", "--noEmit"],
  ["types of the console", "tsc", "--noEmit", "--project", "src/console"],
] as const;
const checked =
  afterTests || checks.map(([name, command, ...args]) => runStep(name, command, args)).every(Boolean);
if (!afterTests) forgetResults("slow-tests");
const tested = runVitest({
  name: afterTests ? "slow-tests" : "tests",
  projects,
  env: long ? longEnvironment : process.env,
});
const mutated = !long || runStep("mutants", "node", ["scripts/mutants.ts"]);
console.log(`\n${closingLine(tested)}`);
process.exitCode = checked && tested.ok && mutated ? 0 : 1;
