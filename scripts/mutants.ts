import { availableParallelism } from "node:os";
import { Stryker } from "@stryker-mutator/core";
import type { MutantGroup } from "../test/mutants/groups.ts";
import { groupsOf } from "../test/mutants/groups.ts";

/**
 * Runs the mutation tests: Stryker changes the sources in a copy of the repository, one place at a time, and a test must fail.
 * Arguments name groups, or files of groups. Without arguments all groups run. `MUTANTS_CONCURRENCY` is the number of test
 * processes.
 */
const FOLDER = ".test-results/mutants";
/** A mutant may loop without end. A busy machine must not make a slow test look like one. */
const TIMEOUT_MS = 10_000;

async function run({ name, files, tests, breakBelow }: MutantGroup): Promise<void> {
  console.log(`\nMutants of ${name}`);
  process.env["MUTANT_TESTS"] = JSON.stringify(tests);
  const stryker = new Stryker({
    mutate: [...files, "!src/**/*.test.ts"],
    testRunner: "vitest",
    plugins: ["@stryker-mutator/vitest-runner"],
    vitest: { configFile: "test/mutants/vitest.config.ts", related: false },
    coverageAnalysis: "perTest",
    // Of constants of modules: each would run every test of its group.
    ignoreStatic: true,
    concurrency: Number(process.env["MUTANTS_CONCURRENCY"] ?? Math.max(1, availableParallelism() - 1)),
    timeoutMS: TIMEOUT_MS,
    // Stryker fails the process below `break`.
    thresholds: { high: 95, low: 85, break: breakBelow },
    reporters: ["progress-append-only", "clear-text", "json", "html"],
    jsonReporter: { fileName: `${FOLDER}/${name}.json` },
    htmlReporter: { fileName: `${FOLDER}/${name}.html` },
    clearTextReporter: { logTests: false, reportTests: false, allowColor: process.stdout.isTTY },
    tempDirName: `${FOLDER}/sandbox`,
    ignorePatterns: ["dist", "docs", "bench", ".tools", ".test-results"],
    // TypeScript 7 has no API that Stryker could rewrite it with, and the tests do not read it.
    tsconfigFile: "none",
  });
  await stryker.runMutationTest();
}

for (const group of groupsOf(process.argv.slice(2))) await run(group);
