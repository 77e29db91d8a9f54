import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { z } from "zod";

const FOLDER = ".test-results";

const results = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  testResults: z.array(
    z.object({
      name: z.string(),
      assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })),
    }),
  ),
});

export type TestResults = z.infer<typeof results>;
type Environment = Readonly<Record<string, string | undefined>>;

/** `slow-tests` has what ran after the fast ones of `tests`. */
export const RESULT_NAMES = ["tests", "slow-tests", "platforms"] as const;
type ResultName = (typeof RESULT_NAMES)[number];

export interface VitestRun {
  /** The name of its results. Another run with this name replaces them. */
  readonly name: ResultName;
  readonly projects: readonly string[];
  /** Absent: all of these projects. */
  readonly files?: readonly string[];
  readonly env?: Environment;
}

/** Runs projects of vitest, and returns whether it succeeded, with its results. */
export function runVitest({
  name,
  projects,
  files = [],
  env = process.env,
}: VitestRun): TestResults & { readonly ok: boolean } {
  mkdirSync(FOLDER, { recursive: true });
  forgetResults(name);
  const named = projects.flatMap((project) => ["--project", project]);
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${fileOf(name)}`];
  const ok = runStep("tests", "vitest", ["run", ...named, ...reporters, ...files], env);
  const tested = results.parse(JSON.parse(readFileSync(fileOf(name), "utf8")));
  if (!ok) for (const line of unpassed(tested)) console.error(line);
  return { ok, ...tested };
}

/** A line for each failed test, and for each file whose process ended before its tests did, which vitest does not name. */
export function unpassed({ testResults }: Pick<TestResults, "testResults">): readonly string[] {
  return testResults.flatMap(({ name, assertionResults }) => {
    const of = (wanted: string) => assertionResults.filter(({ status }) => status === wanted);
    const [first, ...others] = of("pending");
    const failed = of("failed").map(({ fullName }) => `failed: ${name}: ${fullName}`);
    if (first === undefined) return failed;
    const more = others.length === 0 ? "" : `, and ${others.length} more`;
    return [...failed, `not ended, the process exited: ${name}: ${first.fullName}${more}`];
  });
}

export function forgetResults(name: ResultName): void {
  rmSync(fileOf(name), { force: true });
}

/** The results of the last run with this name; undefined without one. */
export function readResults(name: ResultName): TestResults | undefined {
  try {
    return results.parse(JSON.parse(readFileSync(fileOf(name), "utf8")));
  } catch {
    return undefined;
  }
}

const fileOf = (name: ResultName): string => `${FOLDER}/${name}.json`;

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

type Counts = Pick<TestResults, "numPassedTests" | "numFailedTests" | "numPendingTests">;

/** The last line of a run, which CI reads. */
export function closingLine({ numPassedTests, numFailedTests, numPendingTests }: Counts): string {
  const skipped = numPendingTests === 0 ? "" : `, ${numPendingTests} skipped`;
  return `${numPassedTests} passed, ${numFailedTests} failed${skipped}`;
}
