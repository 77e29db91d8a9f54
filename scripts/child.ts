import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";

/** A child process. */
export interface Child {
  readonly pid: number;
  /** Resolves with the exit code, or null after a signal, once all output has been read. */
  readonly exited: Promise<number | null>;
  /** The output on stdout and stderr so far. A long output is truncated at its start. */
  output(): string;
  /** Sends the signal, and SIGKILL if the process does not end in time. Does nothing after its end. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface ChildOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Milliseconds from the signal of `stop` to SIGKILL. */
  readonly stopWithinMs?: number;
  /** Starts it in its own process group, so that Ctrl-C in the terminal reaches only this process. */
  readonly ownGroup?: boolean;
  readonly onStdoutLine?: (line: string) => void;
  readonly onStderrLine?: (line: string) => void;
}

const MAX_CHUNKS = 10_000;

const running = new Set<ChildProcess>();
process.once("exit", killRunning);

/** Kills all child processes. For an end by a signal, which emits no "exit". */
export function killRunning(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** Starts a program, and kills it if this process exits first. */
export async function startChild(
  command: string,
  args: readonly string[],
  options: ChildOptions,
): Promise<Child> {
  const { env, cwd, stopWithinMs = 30_000, ownGroup = false, onStdoutLine, onStderrLine } = options;
  const child = spawn(command, args, { env, cwd, detached: ownGroup, stdio: ["ignore", "pipe", "pipe"] });
  const chunks: string[] = [];
  follow(child.stdout, chunks, onStdoutLine);
  follow(child.stderr, chunks, onStderrLine);
  const closed = once(child, "close");
  // The awaited "spawn" rejects with the same error, so this rejection is ignored.
  closed.catch(() => undefined);
  await once(child, "spawn");
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} has no process id.`);

  running.add(child);
  const exited = closed.then(() => {
    running.delete(child);
    return child.exitCode;
  });
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> => {
    const timeout = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
    child.kill(signal);
    return exited.finally(() => clearTimeout(timeout));
  };
  return { pid, exited, output: () => chunks.join(""), stop };
}

function follow(stream: Readable, chunks: string[], onLine: ((line: string) => void) | undefined): void {
  let rest = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    chunks.push(chunk);
    if (chunks.length > MAX_CHUNKS) chunks.shift();
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (onLine) lines.forEach(onLine);
  });
  stream.on("end", () => {
    if (rest !== "") onLine?.(rest);
  });
}
