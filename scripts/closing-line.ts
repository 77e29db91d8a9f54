import { closingLine, RESULT_NAMES, readResults } from "./test-results.ts";

/**
 * Prints the last line of `.ci/run`: the sum of its runs. Its argument is the exit code of the step before. A step that failed
 * without a failed test, such as the linter, counts as one failure.
 */
const [, , exitCode = "0"] = process.argv;
const runs = RESULT_NAMES.map((name) => readResults(name));
const sum = (count: "numPassedTests" | "numFailedTests" | "numPendingTests") =>
  runs.reduce((total, run) => total + (run?.[count] ?? 0), 0);
const failed = sum("numFailedTests");
console.log(
  closingLine({
    numPassedTests: sum("numPassedTests"),
    numFailedTests: exitCode === "0" ? failed : Math.max(1, failed),
    numPendingTests: sum("numPendingTests"),
  }),
);
