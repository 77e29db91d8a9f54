import type { Command } from "commander";
import { LatchkeyProblem } from "../../client/problem.ts";
import { errorMessage } from "../../core/error-message.ts";
import { visible } from "../../core/escape-text.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { baseUrl, operatorCredential } from "../with-client.ts";
import { SMOKE_SECTIONS } from "./checks.ts";
import type { SmokeCheck, SmokeSession } from "./session.ts";
import { createSession, NotApplicable, Skipped } from "./session.ts";

interface SmokeOptions {
  readonly envoy?: string;
  readonly path: string;
  readonly json?: true;
  readonly allowSkips?: true;
}

type Outcome = "pass" | "fail" | "skip";

interface Line {
  readonly name: string;
  readonly outcome: Outcome;
  readonly detail?: string;
  /** Skipped because the deployment does not have the feature and does not need it. */
  readonly excused?: true;
}

interface Run {
  readonly lines: readonly Line[];
  readonly interrupted: boolean;
  /** Keys that the run registered and could not revoke. */
  readonly keys_left: number;
}

const MARKS: Readonly<Record<Outcome, string>> = { pass: "✓ PASS", fail: "✗ FAIL", skip: "– SKIP" };
const RULE = "=".repeat(50);

/** `latchkey smoke URL`: the integration test of a live deployment, in the format of the deployment guide. */
export function addSmokeCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command("smoke <url>")
    .description("test a live deployment; the checks that need an operator use the token in LATCHKEY_TOKEN")
    .option("--envoy <url>", "also test the Envoy in front of the deployment")
    .option("--path <path>", "a path behind that Envoy that a basic key may GET", "/v1/chat/smoke")
    .option("--json", "print JSON")
    .option("--allow-skips", "exit with 0 even if checks were skipped")
    .action(async (url: string, options: SmokeOptions) => {
      const credential = operatorCredential(io);
      if (credential === undefined) return finish(EXIT.usageError);
      const { envoy, path } = options;
      const through = envoy === undefined ? undefined : { url: baseUrl(envoy), path };
      const session = createSession(baseUrl(url), credential.token, through);
      const run = await runAll(session, options.json ? () => undefined : io.print);
      io.print(options.json ? JSON.stringify(asJson(run)) : summary(run));
      if (run.keys_left > 0)
        io.printError(`${run.keys_left} keys of this test could not be revoked: revoke them as an operator`);
      const hasFailed = run.interrupted || run.keys_left > 0 || count(run, "fail") > 0;
      finish(hasFailed || (hasSkips(run) && !options.allowSkips) ? EXIT.failed : EXIT.done);
    });
}

async function runAll(session: SmokeSession, print: Io["print"]): Promise<Run> {
  const lines: Line[] = [];
  const signals = catchSignals();
  print(`API Key System Integration Test\n${RULE}`);
  for (const { title, checks } of SMOKE_SECTIONS) {
    if (title === "Testing Envoy" && session.envoy === undefined) continue;
    if (signals.caught()) break;
    print(`\n${title}`);
    for (const check of checks) {
      if (signals.caught()) break;
      const line = await runOne(check, session);
      lines.push(line);
      const detail = line.detail === undefined ? "" : `: ${visible(line.detail)}`;
      print(`  ${MARKS[line.outcome]} ${line.name}${detail}`);
    }
  }
  const keys_left = await cleanUp(session);
  signals.release();
  return { lines, interrupted: signals.caught(), keys_left };
}

/** Defers a signal until the current check has ended, so that the run can revoke its keys. */
function catchSignals() {
  let caught = false;
  const onSignal = () => {
    caught = true;
  };
  const names = ["SIGINT", "SIGTERM"] as const;
  for (const name of names) process.on(name, onSignal);
  return {
    caught: () => caught,
    release() {
      for (const name of names) process.off(name, onSignal);
    },
  };
}

/** Revokes every key of the run. Ignores invalid keys, which only a faulty server issues. */
async function cleanUp({ keys, open }: SmokeSession): Promise<number> {
  let left = 0;
  for (const key of keys) {
    await open.revoke(key).catch((error: unknown) => {
      if (!(error instanceof LatchkeyProblem && error.status === 401)) left++;
    });
  }
  return left;
}

async function runOne({ name, run }: SmokeCheck, session: SmokeSession): Promise<Line> {
  try {
    await run(session);
    return { name, outcome: "pass" };
  } catch (error) {
    const detail = errorMessage(error);
    if (error instanceof NotApplicable) return { name, outcome: "skip", detail, excused: true };
    return { name, outcome: error instanceof Skipped ? "skip" : "fail", detail };
  }
}

function count({ lines }: Run, wanted: Outcome): number {
  return lines.filter(({ outcome }) => outcome === wanted).length;
}

function hasSkips({ lines }: Run): boolean {
  return lines.some(({ outcome, excused }) => outcome === "skip" && !excused);
}

function asJson(run: Run) {
  const { lines: tests, interrupted, keys_left } = run;
  const [passed, failed, skipped] = [count(run, "pass"), count(run, "fail"), count(run, "skip")];
  return { tests, passed, failed, skipped, interrupted, keys_left };
}

function summary(run: Run): string {
  const [failed, skipped] = [count(run, "fail"), count(run, "skip")];
  return [
    "\nTest Summary",
    RULE,
    `Total Tests: ${run.lines.length}`,
    `Passed: ${count(run, "pass")}`,
    `Failed: ${failed}`,
    ...(skipped > 0 ? [`Skipped: ${skipped}`] : []),
    "",
    conclusion(run, failed),
  ].join("\n");
}

function conclusion(run: Run, failed: number): string {
  if (failed > 0)
    return `${failed} of ${run.lines.length} tests failed: the integration is not working correctly.`;
  if (run.interrupted) return "The test was interrupted. Its keys have been revoked.";
  if (hasSkips(run)) return "All executed tests passed. Some tests were skipped.";
  return "✨ All tests passed! The integration is working correctly.";
}
