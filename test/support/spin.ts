import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startChild } from "../../scripts/child.ts";
import type { SpinTools } from "../../scripts/spin-binary.ts";

/** The macros of a model: faults and bounds with their numbers, and conditions that are removed. */
export type Macros = Readonly<Record<string, number | true>>;

/** The result of an exhaustive search. */
export interface Verdict {
  readonly states: number;
  /** The events of the shortest execution that breaks the promise; absent if none does. */
  readonly counterExample?: readonly string[];
}

/** Memory in MB that a search may use. A search that needs more rejects. */
const MEMORY_MB = 4096;

/**
 * Searches all executions of a Promela model. With `removed` it looks for the shortest execution that breaks the promise.
 * Rejects if the search was not complete.
 */
export async function searchModel(
  { spin, compiler }: SpinTools,
  model: string,
  macros: Macros,
  removed?: string,
): Promise<Verdict> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-model-"));
  const run = async (command: readonly string[]) => {
    const [program = "", ...args] = command;
    const lines: string[] = [];
    const child = await startChild(program, args, {
      cwd: folder,
      env: process.env,
      onStdoutLine: (line) => void lines.push(line),
    });
    const code = await child.exited;
    return { code, lines, output: child.output() };
  };
  try {
    await copyFile(new URL(`../model/${model}.pml`, import.meta.url), join(folder, "model.pml"));
    const defines = Object.entries(macros).map(([name, value]) => `-D${name}=${value === true ? 1 : value}`);
    if (removed !== undefined) defines.push(`-DWITHOUT_${removed}`);
    const translated = await run([...spin, ...defines, "-a", "model.pml"]);
    if (translated.code !== 0) throw new Error(`Spin cannot read ${model}.pml:\n${translated.output}`);
    const search = removed === undefined ? "-DCOLLAPSE" : "-DBFS";
    const options = ["-DSAFETY", search, `-DMEMLIM=${MEMORY_MB}`];
    const compiled = await run([...compiler, ...options, "-o", "search", "pan.c"]);
    if (compiled.code !== 0) throw new Error(`the search cannot be compiled:\n${compiled.output}`);
    const { output } = await run([join(folder, "search"), "-m100000"]);
    const states = Number(/(\d+) states, stored/.exec(output)?.[1]);
    if (/errors: 0$/m.test(output) && !/Search not completed|max search depth too small/.test(output))
      return { states };
    await readFile(join(folder, "model.pml.trail")).catch(() => {
      throw new Error(`the search of ${model}.pml is not complete:\n${output}`);
    });
    const trail = await run([...spin, ...defines, "-t", "-T", "model.pml"]);
    const events = trail.lines.flatMap((line) => (line.startsWith("@ ") ? [line.slice(2)] : []));
    return { states, counterExample: events };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
