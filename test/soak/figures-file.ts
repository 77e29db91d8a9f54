import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Figures } from "./figures.ts";
import { COLUMNS } from "./figures.ts";

const FOLDER = ".test-results";
const MINUTE_MS = 60_000;
const AGAIN_MS = 500;
const ROWS_OF_A_SHORT_RUN = 20;

/** Writes a row of figures every minute, or more often in a short run, into a file whose path is printed. */
export function recordFigures(
  store: string,
  runMs: number,
  figures: () => Promise<Figures>,
): { readonly rows: readonly Figures[]; stop(): Promise<void> } {
  mkdirSync(FOLDER, { recursive: true });
  const file = `${FOLDER}/soak-${store}.csv`;
  writeFileSync(file, `${COLUMNS.join(",")}\n`);
  console.log(`figures: ${file}`);
  const rows: Figures[] = [];
  const ended = new AbortController();
  const everyMs = Math.min(MINUTE_MS, runMs / ROWS_OF_A_SHORT_RUN);
  const record = async () => {
    let waitMs = everyMs;
    for (;;) {
      await pause(waitMs, undefined, { signal: ended.signal }).catch(() => undefined);
      if (ended.signal.aborted) return;
      // While the process restarts it has no figures.
      const row = await figures().catch(() => undefined);
      waitMs = row === undefined ? AGAIN_MS : everyMs;
      if (row === undefined) continue;
      rows.push(row);
      appendFileSync(file, `${COLUMNS.map((column) => row[column]).join(",")}\n`);
    }
  };
  const recording = record();
  return {
    rows,
    async stop() {
      ended.abort();
      await recording;
    },
  };
}
