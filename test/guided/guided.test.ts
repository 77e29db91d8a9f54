import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { z } from "zod";

const SECOND_MS = 1000;
/** Beyond the time of the search: the start, and the reduction of a finding. */
const FURTHER_MS = 120 * SECOND_MS;
const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const FOUND = `${FOLDER}../../.test-results/guided`;
const TARGETS = readdirSync(`${FOLDER}targets`).map((file) => file.replace(/\.ts$/, ""));

const { GUIDED_SECONDS, GUIDED_SEED, GUIDED_KEEP } = process.env;
const seconds = GUIDED_SECONDS === undefined ? undefined : Number(GUIDED_SECONDS) / TARGETS.length;
/** The short search is the same each time. The long one is another each time. */
const seed = GUIDED_SEED ?? (seconds === undefined ? "1" : String(Math.floor(Math.random() * 2 ** 31)));

const outcome = z.object({
  runs: z.number(),
  inputs: z.number(),
  coverage: z.record(z.string(), z.string()),
  finding: z.object({ message: z.string(), input: z.string(), file: z.string().optional() }).optional(),
});

/** Each target has a process of its own, because the code is instrumented when it is loaded. */
async function searchFrom(target: string): Promise<z.output<typeof outcome>> {
  const options = [
    ...["--seed", seed],
    ...(seconds === undefined ? [] : ["--seconds", String(seconds)]),
    ...(GUIDED_KEEP === undefined ? [] : ["--keep", `${GUIDED_KEEP}/${target}`]),
  ];
  const script = `${FOLDER}run-target.ts`;
  const args = ["--disable-warning=ExperimentalWarning", script, target, ...options];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 26 });
  return outcome.parse(JSON.parse(stdout));
}

/** Keeps the input as a file that can be moved to the corpus. */
function saved(target: string, input: string): string {
  mkdirSync(FOUND, { recursive: true });
  const file = `${FOUND}/${target}-${seed}`;
  writeFileSync(file, Buffer.from(input, "latin1"));
  return file;
}

test.each(TARGETS)(
  "%s: no input that the search finds violates the property of the target",
  { timeout: (seconds ?? 0) * SECOND_MS + FURTHER_MS },
  async (target) => {
    const { runs, inputs, coverage, finding } = await searchFrom(target);
    const files = Object.entries(coverage).map(([file, percent]) => `${file} ${percent}%`);
    console.log(`${target}: GUIDED_SEED=${seed}, ${runs} runs, ${inputs} inputs reach: ${files.join(", ")}`);
    const place = finding && (finding.file ?? saved(target, finding.input));
    expect(finding && `${finding.message}\nThe input is in ${place}.`).toBeUndefined();
  },
);
