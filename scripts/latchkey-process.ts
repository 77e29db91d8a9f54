import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Child } from "./child.ts";
import { startChild } from "./child.ts";

const PROGRAM = fileURLToPath(new URL("../bin/latchkey.js", import.meta.url));
const READY_WITHIN_MS = 60_000;
// Longer than the default DRAIN_SECONDS, so that Latchkey ends the drain itself.
const STOP_WITHIN_MS = 60_000;

/** The bound addresses of the listeners, each `host:port` (gRPC also `unix:/path`). */
const listeners = z.object({
  grpc: z.string(),
  http: z.string(),
  operator: z.string(),
  ops: z.string(),
  /** Only with `AUTH_LISTEN`. */
  auth: z.string().optional(),
});
const readyLine = listeners.extend({ msg: z.literal("ready") });

export interface LatchkeyProcess extends Child, Readonly<z.infer<typeof listeners>> {}

export interface LatchkeyOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly ownGroup?: boolean;
  /** More arguments of `latchkey serve`. */
  readonly args?: readonly string[];
  readonly onLogLine?: (line: string) => void;
  readonly onStderrLine?: (line: string) => void;
  /** For a start that has to wait for its store. */
  readonly readyWithinMs?: number;
}

/** Starts `latchkey serve` and waits until it logs that it is ready. Rejects with its output if it does not start. */
export async function startLatchkeyProcess(options: LatchkeyOptions): Promise<LatchkeyProcess> {
  const { onLogLine, args = [], readyWithinMs = READY_WITHIN_MS, ...rest } = options;
  const ready = Promise.withResolvers<z.infer<typeof listeners>>();
  let isReady = false;
  const child = await startChild(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", PROGRAM, "serve", ...args],
    {
      ...rest,
      stopWithinMs: STOP_WITHIN_MS,
      onStdoutLine: (line) => {
        onLogLine?.(line);
        // An instance that audits every request writes more lines than this process can parse beside a benchmark.
        if (isReady) return;
        const parsed = readyLine.safeParse(parseJson(line));
        if (!parsed.success) return;
        isReady = true;
        ready.resolve(listeners.parse(parsed.data));
      },
    },
  );
  const timeout = setTimeout(
    () => ready.resolve({ grpc: "", http: "", operator: "", ops: "" }),
    readyWithinMs,
  );
  try {
    const bound = await Promise.race([ready.promise, child.exited.then(() => undefined)]);
    if (bound !== undefined && bound.grpc !== "") return { ...child, ...bound };
    const code = bound === undefined ? await child.exited : await child.stop("SIGKILL");
    throw new Error(`Latchkey did not become ready (exit code ${code}):\n${child.output()}`);
  } finally {
    clearTimeout(timeout);
  }
}

/** A line of the log, or undefined if the line is not JSON. */
export function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
