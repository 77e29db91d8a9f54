import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";

/** A program that we started and have to end. */
export interface Child {
  readonly pid: number;
  /** Its exit code, or null when a signal ended it; once all its output has been read. */
  readonly exited: Promise<number | null>;
  /** What it wrote on stdout and stderr so far; of a great deal, the last of it. */
  output(): string;
  /** Sends the signal, and SIGKILL when it has not ended in time. Does nothing once it has ended. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface ChildOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Milliseconds that `stop` gives it. */
  readonly stopWithinMs?: number;
  /** In a process group of its own: a Ctrl-C in the terminal then reaches us alone. */
  readonly ownGroup?: boolean;
  readonly onStdoutLine?: (line: string) => void;
  readonly onStderrLine?: (line: string) => void;
}

const MAX_CHUNKS = 10_000;

const running = new Set<ChildProcess>();
process.once("exit", killRunning);

/** For when this process ends by a signal, of which no "exit" tells. */
export function killRunning(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** Starts a program. Its end is also ours to see to: it is killed when this process exits before it. */
export async function startChild(
  command: string,
  args: readonly string[],
  options: ChildOptions,
): Promise<Child> {
  const { env, cwd, stopWithinMs = 5_000, ownGroup = false, onStdoutLine, onStderrLine } = options;
  const child = spawn(command, args, { env, cwd, detached: ownGroup, stdio: ["ignore", "pipe", "pipe"] });
  const chunks: string[] = [];
  follow(child.stdout, chunks, onStdoutLine);
  follow(child.stderr, chunks, onStderrLine);
  const closed = once(child, "close");
  // The awaited "spawn" tells the same failure; this one is then nobody's.
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
    const late = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
    child.kill(signal);
    return exited.finally(() => clearTimeout(late));
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
