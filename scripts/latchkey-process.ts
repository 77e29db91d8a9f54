import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Child } from "./child.ts";
import { startChild } from "./child.ts";

const PROGRAM = fileURLToPath(new URL("../bin/latchkey.js", import.meta.url));
const READY_WITHIN_MS = 30_000;
// Longer than the default DRAIN_SECONDS, so that it is Latchkey who ends the drain.
const STOP_WITHIN_MS = 15_000;

/** Its doors, each `host:port` (gRPC also `unix:/path`), as bound. */
const doors = z.object({ grpc: z.string(), http: z.string(), operator: z.string(), ops: z.string() });
const readyLine = doors.extend({ msg: z.literal("ready") });

export interface LatchkeyProcess extends Child, Readonly<z.infer<typeof doors>> {}

export interface LatchkeyOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly ownGroup?: boolean;
  /** Further arguments of `latchkey serve`. */
  readonly args?: readonly string[];
  readonly onLogLine?: (line: string) => void;
  readonly onStderrLine?: (line: string) => void;
}

/** Starts `latchkey serve` and waits until it says that it is ready. Rejects with all it said when it is not. */
export async function startLatchkeyProcess(options: LatchkeyOptions): Promise<LatchkeyProcess> {
  const { onLogLine, args = [], ...rest } = options;
  const ready = Promise.withResolvers<z.infer<typeof doors>>();
  const child = await startChild(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", PROGRAM, "serve", ...args],
    {
      ...rest,
      stopWithinMs: STOP_WITHIN_MS,
      onStdoutLine: (line) => {
        const parsed = readyLine.safeParse(parseJson(line));
        if (parsed.success) ready.resolve(doors.parse(parsed.data));
        onLogLine?.(line);
      },
    },
  );
  const late = setTimeout(
    () => ready.resolve({ grpc: "", http: "", operator: "", ops: "" }),
    READY_WITHIN_MS,
  );
  try {
    const bound = await Promise.race([ready.promise, child.exited.then(() => undefined)]);
    if (bound !== undefined && bound.grpc !== "") return { ...child, ...bound };
    const code = bound === undefined ? await child.exited : await child.stop("SIGKILL");
    throw new Error(`Latchkey did not become ready (exit code ${code}):\n${child.output()}`);
  } finally {
    clearTimeout(late);
  }
}

/** A line of the log, or undefined when the line is no JSON. */
export function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
