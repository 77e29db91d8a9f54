import type { FileCounts } from "../support/instrumented.ts";
import { fileCounts } from "../support/instrumented.ts";

export interface RunCounts {
  /** Whether the run reached something, or repeated something so often, as no run before it. */
  readonly isNew: boolean;
  /** Statements that were executed. */
  readonly steps: number;
}

export interface Counters {
  /** Counts what was executed since the last call, and adds it to what was seen. */
  take(): RunCounts;
  /** Per cent of the statements and branches of these files that were reached. */
  coverage(files: readonly string[]): ReadonlyMap<string, string>;
}

/** The counts of one kind of place. `seen` has a bit for each order of magnitude. */
interface Row {
  readonly file: string;
  readonly counts: Record<number, number>;
  readonly isStatements: boolean;
  readonly seen: Uint8Array;
}

/** The counters of all files that are loaded now. */
export function createCounters(): Counters {
  const rows = Array.from(fileCounts()).flatMap(([file, counts]) => rowsOf(file, counts));
  return {
    take() {
      let [isNew, steps] = [false, 0];
      for (const row of rows) {
        const { counts, seen } = row;
        for (let at = 0; at < seen.length; at++) {
          const count = counts[at] ?? 0;
          if (count === 0) continue;
          counts[at] = 0;
          if (row.isStatements) steps += count;
          const bit = magnitudeBit(count);
          if (((seen[at] ?? 0) & bit) !== 0) continue;
          seen[at] = (seen[at] ?? 0) | bit;
          isNew = true;
        }
      }
      return { isNew, steps };
    },
    coverage: (files) => new Map(files.map((file) => [file, percentOf(rows, file)])),
  };
}

function rowsOf(file: string, { s, f, b }: FileCounts): Row[] {
  const row = (counts: Record<number, number>, isStatements = false): Row => ({
    file,
    counts,
    isStatements,
    seen: new Uint8Array(Object.keys(counts).length),
  });
  return [row(s, true), row(f), ...Object.values(b).map((arms) => row(arms))];
}

/** One bit for each of 1, 2, 3, 4 to 7, 8 to 15, 16 to 31, 32 to 127, and more, as libFuzzer and AFL distinguish them. */
function magnitudeBit(count: number): number {
  if (count < 4) return 1 << (count - 1);
  if (count < 8) return 8;
  if (count < 16) return 16;
  if (count < 32) return 32;
  return count < 128 ? 64 : 128;
}

function percentOf(rows: readonly Row[], file: string): string {
  const seen = rows.filter((row) => row.file === file).flatMap((row) => [...row.seen]);
  if (seen.length === 0) throw new Error(`no target has loaded ${file}`);
  return ((100 * seen.filter((bits) => bits !== 0).length) / seen.length).toFixed(1);
}
