import { startChild } from "./child.ts";

export interface RunOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs a program to its end and returns its output. Rejects with the output if its exit code is not 0. */
export async function run(
  command: string,
  args: readonly string[],
  { env = {}, cwd }: RunOptions = {},
): Promise<string> {
  const child = await startChild(command, args, {
    env: { ...process.env, ...env },
    ...(cwd !== undefined && { cwd }),
  }).catch((error: unknown) => {
    throw new Error(`${command} is not installed: the tests need it.`, { cause: error });
  });
  const code = await child.exited;
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${child.output()}`);
  return child.output();
}
