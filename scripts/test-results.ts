import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { z } from "zod";

const RESULTS = ".test-results/vitest.json";

const results = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  testResults: z.array(
    z.object({ name: z.string(), assertionResults: z.array(z.object({ status: z.string() })) }),
  ),
});

export type TestResults = z.infer<typeof results>;
type Environment = Readonly<Record<string, string | undefined>>;

/** Runs these projects of vitest, and returns whether it succeeded, with its results. */
export function runVitest(
  projects: readonly string[],
  env: Environment = process.env,
): TestResults & { readonly ok: boolean } {
  mkdirSync(".test-results", { recursive: true });
  rmSync(RESULTS, { force: true });
  const named = projects.flatMap((project) => ["--project", project]);
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${RESULTS}`];
  const ok = runStep("tests", "vitest", ["run", ...named, ...reporters], env);
  return { ok, ...results.parse(JSON.parse(readFileSync(RESULTS, "utf8"))) };
}

/** Runs a command to its end. npm puts node_modules/.bin on the path, which has these commands and Node 24. */
export function runStep(
  name: string,
  command: string,
  args: readonly string[],
  env: Environment = process.env,
): boolean {
  const { status, error } = spawnSync(command, args, { stdio: "inherit", env });
  if (error !== undefined) console.error(`${name}: ${error.message}`);
  if (status !== 0) console.error(`${name} failed`);
  return status === 0;
}

/** The last line of a run, which CI reads. */
export function closingLine({ numPassedTests, numFailedTests, numPendingTests }: TestResults): string {
  const skipped = numPendingTests === 0 ? "" : `, ${numPendingTests} skipped`;
  return `${numPassedTests} passed, ${numFailedTests} failed${skipped}`;
}
