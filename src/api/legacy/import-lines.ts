import { setImmediate as nextTurn } from "node:timers/promises";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { ImportDeps, ImportReport, RejectedLine } from "../../core/legacy/legacy-import.ts";
import { importLegacyKeys } from "../../core/legacy/legacy-import.ts";
import { parseImportLine } from "./import-line.ts";

/** How many lines are imported before the event loop runs other work: a few milliseconds. */
const PORTION_LINES = 100;

/**
 * Imports the V1 keys that the lines of NDJSON describe, in portions, so that Checks run in between. The report names
 * rejected lines by number, from `firstLine` on, and never contains a key.
 */
export async function importLines(
  deps: ImportDeps,
  text: string,
  { firstLine, dryRun }: { readonly firstLine: number; readonly dryRun: boolean },
  origin: CallOrigin,
): Promise<ImportReport> {
  const invalid: RejectedLine[] = [];
  const portions = async function* () {
    for (const lines of portionsOf(text, firstLine)) {
      const parsed = lines.map(({ line, number }) => parseImportLine(line, number));
      const details = parsed.flatMap((entry, at) =>
        typeof entry === "string" ? [{ line: lines[at]?.number ?? 0, detail: entry }] : [],
      );
      invalid.push(...details);
      yield parsed.filter((entry) => typeof entry !== "string");
      await nextTurn();
    }
  };
  const report = await importLegacyKeys(deps, portions(), origin, dryRun);
  return { ...report, refused: [...invalid, ...report.refused].sort((a, b) => a.line - b.line) };
}

interface NumberedLine {
  readonly line: string;
  readonly number: number;
}

/** The lines that are not blank, in portions. */
function* portionsOf(text: string, firstLine: number): Generator<readonly NumberedLine[]> {
  let portion: NumberedLine[] = [];
  let number = firstLine;
  for (let from = 0; from <= text.length; number++) {
    const end = text.indexOf("\n", from);
    const line = text.slice(from, end === -1 ? text.length : end);
    from = end === -1 ? text.length + 1 : end + 1;
    if (line.trim() !== "") portion.push({ line, number });
    if (portion.length < PORTION_LINES) continue;
    yield portion;
    portion = [];
  }
  yield portion;
}
