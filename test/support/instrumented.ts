import { readFileSync } from "node:fs";
import { registerHooks, stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";
import { createInstrumenter } from "istanbul-lib-instrument";

/** How often each place of a file was executed since the last reset. */
export interface FileCounts {
  /** By the number of the statement, the function, or the branch and its arm. */
  readonly s: Record<number, number>;
  readonly f: Record<number, number>;
  readonly b: Record<number, Record<number, number>>;
}

const SOURCES = fileURLToPath(new URL("../../src/", import.meta.url));

/**
 * Counts what the files of `src/` execute, if they are imported after this call. The number of executed statements measures
 * work without a clock. Must be called once in a process, before the first import from `src/`.
 */
export function instrumentSources(): void {
  const instrumenter = createInstrumenter({ esModules: true, compact: false });
  registerHooks({
    load(url, context, nextLoad) {
      const file = url.startsWith("file:") ? fileURLToPath(url) : "";
      if (!file.startsWith(SOURCES)) return nextLoad(url, context);
      const code = stripTypeScriptTypes(readFileSync(file, "utf8"));
      const source = instrumenter.instrumentSync(code, file);
      return { format: "module", source, shortCircuit: true };
    },
  });
}

/** The counts of all files that are loaded, by their paths below `src/`. */
export function fileCounts(): ReadonlyMap<string, FileCounts> {
  // Istanbul's instrumented code puts its counts there.
  const counts: Readonly<Record<string, FileCounts>> = Reflect.get(globalThis, "__coverage__") ?? {};
  return new Map(Object.entries(counts).map(([file, own]) => [file.slice(SOURCES.length), own]));
}
