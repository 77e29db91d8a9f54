import { defineConfig } from "vitest/config";

/** The tests of one group, which `scripts/mutants.ts` passes on as JSON. */
const tests: string[] = JSON.parse(process.env["MUTANT_TESTS"] ?? "[]");

export default defineConfig({
  test: {
    include: tests,
    setupFiles: ["test/mutants/setup.ts"],
    testTimeout: 30_000,
    // A mutant can make a condition impossible. The wait for it ends before Stryker ends the test process.
    expect: { poll: { timeout: 10_000 } },
  },
});
