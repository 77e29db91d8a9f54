import type { Command } from "commander";
import type { Io } from "./io.ts";
import type { SmokeCheck, SmokeWorld } from "./smoke-checks.ts";
import { createWorld, Skipped, SMOKE_SECTIONS } from "./smoke-checks.ts";
import { visible } from "./table.ts";

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
      const token = io.environment["LATCHKEY_TOKEN"] || undefined;
      const { envoy, path } = options;
      const through = envoy === undefined ? undefined : { url: envoy.replace(/\/+$/, ""), path };
      const world = createWorld(url.replace(/\/+$/, ""), token, through);
      const lines = await runAll(world, options.json ? () => undefined : io.print, envoy !== undefined);
      const count = (outcome: Outcome) => lines.filter((line) => line.outcome === outcome).length;
      if (options.json)
        io.print(
          JSON.stringify({
            tests: lines,
            passed: count("pass"),
            failed: count("fail"),
            skipped: count("skip"),
          }),
        );
      else io.print(summary(lines.length, count));
      finish(count("fail") > 0 || (count("skip") > 0 && !options.allowSkips) ? 1 : 0);
    });
}

async function runAll(world: SmokeWorld, print: Io["print"], withEnvoy: boolean): Promise<readonly Line[]> {
  const lines: Line[] = [];
  print(`API Key System Integration Test\n${RULE}`);
  try {
    for (const { title, checks } of SMOKE_SECTIONS) {
      if (title === "Testing Envoy" && !withEnvoy) continue;
      print(`\n${title}`);
      for (const check of checks) {
        const line = await runOne(check, world);
        lines.push(line);
        print(
          `  ${MARKS[line.outcome]} ${line.name}${line.detail === undefined ? "" : `: ${visible(line.detail)}`}`,
        );
      }
    }
  } finally {
    // Nothing that was registered for the test outlives it; what has ended already says so, and that is right.
    for (const key of world.keys) await world.open.revoke(key).catch(() => undefined);
  }
  return lines;
}

async function runOne({ name, run }: SmokeCheck, world: SmokeWorld): Promise<Line> {
  try {
    await run(world);
    return { name, outcome: "pass" };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { name, outcome: error instanceof Skipped ? "skip" : "fail", detail };
  }
}

function summary(total: number, count: (outcome: Outcome) => number): string {
  const [failed, skipped] = [count("fail"), count("skip")];
  const closing =
    failed > 0
      ? `${failed} of ${total} tests failed: the integration is not working correctly.`
      : skipped > 0
        ? "What was tested passed; what was skipped was not tested."
        : "✨ All tests passed! The integration is working correctly.";
  return [
    "\nTest Summary",
    RULE,
    `Total Tests: ${total}`,
    `Passed: ${count("pass")}`,
    `Failed: ${failed}`,
    ...(skipped > 0 ? [`Skipped: ${skipped}`] : []),
    "",
    closing,
  ].join("\n");
}
