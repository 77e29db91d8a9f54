import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { buildProgram } from "../../src/cli/program.ts";
import { CLEAN_ENVIRONMENT } from "./environment.ts";

export const PROGRAM = fileURLToPath(new URL("../../bin/latchkey.js", import.meta.url));

/** The result of a command line. */
export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `latchkey …` to its end, with nothing of our environment but the PATH. */
export function runLatchkey(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = "",
): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
    encoding: "utf8",
    env: { ...CLEAN_ENVIRONMENT, ...env },
    input,
  });
  return { status, stdout, stderr };
}

/** The same in this process: faster, and the test itself can respond to its calls. */
export async function runHere(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const program = buildProgram({
    environment,
    print: (text) => stdout.push(`${text}\n`),
    printError: (text) => stderr.push(`${text}\n`),
  });
  return { status: await program.run(args), stdout: stdout.join(""), stderr: stderr.join("") };
}
