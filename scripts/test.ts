import { closingLine, runStep, runVitest } from "./test-results.ts";

/**
 * `npm test` runs the fast tests. `--all` adds the slow ones: browsers, failovers, second versions, long properties.
 * `--long` runs the random searches for an hour each and the soak for two, or for the time in their variables,
 * a hundred failovers of each kind, the larger searches of the models, and the mutation tests.
 */
const all = process.argv.includes("--all");
const long = process.argv.includes("--long");
const LONG_SECONDS = "3600";
const SOAK_SECONDS = "7200";
/** Of two kinds. */
const LONG_FAILOVERS = "200";

const projects = long ? ["long"] : ["unit", "contract", "e2e", ...(all ? ["slow"] : [])];
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

const checked = [
  runStep("lint", "biome", ["ci", "--error-on-warnings", "."]),
  runStep("types", "tsc", ["--noEmit"]),
  runStep("types of the console", "tsc", ["--noEmit", "--project", "src/console"]),
].every(Boolean);
const tested = runVitest({ name: "tests", projects, env: long ? longEnvironment : process.env });
const mutated = !long || runStep("mutants", "node", ["scripts/mutants.ts"]);
console.log(`\n${closingLine(tested)}`);
process.exitCode = checked && tested.ok && mutated ? 0 : 1;
