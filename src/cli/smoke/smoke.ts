import type { Command } from "commander";
import { LatchkeyProblem } from "../../client/problem.ts";
import { errorMessage } from "../../core/error-message.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { visible } from "../table.ts";
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
  /** Skipped for what this deployment has not, and need not have. */
  readonly excused?: true;
}

interface Run {
  readonly lines: readonly Line[];
  readonly interrupted: boolean;
  /** Keys that were registered for it and could not be revoked. */
  readonly keys_left: number;
}

const MARKS: Readonly<Record<Outcome, string>> = { pass: "✓ PASS", fail: "✗ FAIL", skip: "– SKIP" };
const RULE = "=".repeat(50);

/** `latchkey smoke URL`: the integration test of a live deployment, in the form that its guide shows. */
export function addSmokeCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command("smoke <url>")
    .description(
      "test a live deployment; an operator's token in LATCHKEY_TOKEN opens what only operators may",
    )
    .option("--envoy <url>", "also test the Envoy in front of it")
    .option("--path <path>", "a path behind that Envoy that a basic key may GET", "/v1/chat/smoke")
    .option("--json", "as JSON")
    .option("--allow-skips", "exit with 0 although something was skipped")
    .action(async (url: string, options: SmokeOptions) => {
      const credential = operatorCredential(io);
      if (credential === undefined) return finish(EXIT.usageError);
      const { envoy, path } = options;
      const through = envoy === undefined ? undefined : { url: baseUrl(envoy), path };
      const world = createSession(baseUrl(url), credential.token, through);
      const run = await runAll(world, options.json ? () => undefined : io.print);
      io.print(options.json ? JSON.stringify(asJson(run)) : summary(run));
      if (run.keys_left > 0)
        io.printError(`${run.keys_left} keys that were registered for it were not revoked`);
      const wanting = run.lines.some(({ outcome, excused }) => outcome === "skip" && !excused);
      const wrong = run.interrupted || run.keys_left > 0 || count(run, "fail") > 0;
      finish(wrong || (wanting && !options.allowSkips) ? EXIT.failed : EXIT.done);
    });
}

async function runAll(world: SmokeSession, print: Io["print"]): Promise<Run> {
  const lines: Line[] = [];
  const signals = catchSignals();
  print(`API Key System Integration Test\n${RULE}`);
  for (const { title, checks } of SMOKE_SECTIONS) {
    if (title === "Testing Envoy" && world.envoy === undefined) continue;
    if (signals.caught()) break;
    print(`\n${title}`);
    for (const check of checks) {
      if (signals.caught()) break;
      const line = await runOne(check, world);
      lines.push(line);
      const detail = line.detail === undefined ? "" : `: ${visible(line.detail)}`;
      print(`  ${MARKS[line.outcome]} ${line.name}${detail}`);
    }
  }
  const keys_left = await cleanUp(world);
  signals.release();
  return { lines, interrupted: signals.caught(), keys_left };
}

/** A signal ends the test after its current line, so that nothing is left behind. */
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

/** Nothing that was registered for the test outlives it; a key that is none, as a wrong server gives, cannot. */
async function cleanUp({ keys, open }: SmokeSession): Promise<number> {
  let left = 0;
  for (const key of keys) {
    await open.revoke(key).catch((error: unknown) => {
      if (!(error instanceof LatchkeyProblem && error.status === 401)) left++;
    });
  }
  return left;
}

async function runOne({ name, run }: SmokeCheck, world: SmokeSession): Promise<Line> {
  try {
    await run(world);
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
    closing(run, failed),
  ].join("\n");
}

function closing({ lines, interrupted }: Run, failed: number): string {
  if (failed > 0)
    return `${failed} of ${lines.length} tests failed: the integration is not working correctly.`;
  if (interrupted) return "It was interrupted; what it registered has been revoked.";
  if (lines.some(({ outcome, excused }) => outcome === "skip" && !excused))
    return "What was tested passed; what was skipped was not tested.";
  return "✨ All tests passed! The integration is working correctly.";
}
