import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export const PROGRAM = fileURLToPath(new URL("../../bin/latchkey.js", import.meta.url));

/** What came of a command line. */
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
  const { PATH } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
    encoding: "utf8",
    env: { PATH, ...env },
    input,
  });
  return { status, stdout, stderr };
}
