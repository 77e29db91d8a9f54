import { createReadStream, existsSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import { parseImportLines } from "../api/import-lines.ts";
import type { LatchkeyClient } from "../client/client.ts";
import type { ImportReport } from "../client/types.ts";
import type { RefusedLine } from "../core/legacy-import.ts";
import { importLegacyKeys } from "../core/legacy-import.ts";
import { csvReader } from "./csv.ts";
import { EXIT } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { progressBar } from "./progress.ts";
import { remotely } from "./remote.ts";
import { visible } from "./table.ts";

/** Lines a call: some hundreds of KB, a fraction of a second. */
const PORTION = 1000;
const FIELDS = ["api_key", "api_key_hash", "name", "role", "owner", "created_at", "expires_at"];

interface ImportOptions {
  readonly dryRun?: true;
  readonly fromLine: number;
  readonly json?: true;
}

/** `latchkey import FILE`: V1 keys of another system, to the instance that `LATCHKEY_URL` names, else into the store itself. */
export function addImportCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command("import <file>")
    .description("take over V1 keys, from JSONL or CSV with a heading; importing again changes nothing")
    .option("--dry-run", "say what would be done")
    .option("--from-line <n>", "go on here; whoever was cut off can also begin anew", Number, 1)
    .option("--json", "the report as JSON")
    .action(async (file: string, options: ImportOptions) => {
      if (!existsSync(file)) {
        io.complain(`${file}: there is no such file`);
        return finish(EXIT.calledWrongly);
      }
      let refused = 0;
      const run = async (sending: Sending) => {
        const total = await importFile(sending, io, file, options);
        refused = total.refused_lines;
        io.print(options.json ? JSON.stringify(total) : inWords(total, options));
      };
      const exitCode = io.environment["LATCHKEY_URL"]
        ? await remotely(io, (client) => run(client.keys.import))
        : await offline(io, run);
      finish(exitCode === 0 && refused > 0 ? 1 : exitCode);
    });
}

type Sending = LatchkeyClient["keys"]["import"];

/** Into the store that the settings name; an embedded one must not be in use. */
async function offline(io: Io, run: (sending: Sending) => Promise<void>): Promise<number> {
  const { openOffline } = await import("../offline.ts");
  const opened = await openOffline(io.environment);
  if (!opened.ok) {
    io.complain(opened.problems.join("\n"));
    io.complain("LATCHKEY_URL names the instance, if one is running");
    return 1;
  }
  const origin = { caller: { kind: "admin", id: "offline" } } as const;
  try {
    await run(async (lines, { first_line: firstLine = 1, dry_run: dryRun = false } = {}) => {
      const { entries, refused } = parseImportLines(lines, firstLine);
      const report = await importLegacyKeys(opened.registry, entries, origin, dryRun);
      return { ...report, refused: [...refused, ...report.refused].sort((a, b) => a.line - b.line) };
    });
    return 0;
  } finally {
    await opened.close();
  }
}

interface Total extends ImportReport {
  /** The number of the last line that is done. */
  readonly lines: number;
  readonly refused_lines: number;
}

/** Refusals that the report keeps; all of them are told as they come. */
const MAX_KEPT_REFUSALS = 1000;

/** Reads the file once, in bounded memory; each refused line is told as it comes. */
async function importFile(sending: Sending, io: Io, file: string, options: ImportOptions): Promise<Total> {
  const bar = progressBar(io, statSync(file).size);
  const toJson = file.endsWith(".csv") ? csvReader(FIELDS) : (line: string) => line;
  const total = { imported: 0, known: 0, refused: [] as RefusedLine[], refused_lines: 0, lines: 0 };
  let portion: string[] = [];
  let bytes = 0;
  const send = async () => {
    if (portion.length === 0) return;
    const first = total.lines - portion.length + 1;
    const query = { first_line: first, ...(options.dryRun && { dry_run: true }) };
    const report = await sending(portion.join("\n"), query);
    portion = [];
    total.imported += report.imported;
    total.known += report.known;
    for (const { line, detail } of report.refused) {
      total.refused_lines++;
      if (total.refused.length < MAX_KEPT_REFUSALS) total.refused.push({ line, detail });
      io.complain(`${file}:${line}: ${visible(detail)}`);
    }
    bar.show(bytes, total.lines);
  };
  const input = createReadStream(file, "utf8");
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    total.lines++;
    bytes += Buffer.byteLength(line) + 1;
    const json = toJson(line, total.lines);
    portion.push(total.lines < options.fromLine ? "" : json);
    if (portion.length === PORTION) await send();
  }
  await send();
  bar.end();
  return total;
}

function inWords(
  { imported, known, refused_lines: refused, lines }: Total,
  { dryRun }: ImportOptions,
): string {
  const would = dryRun ? "would be " : "";
  return `${lines} lines: ${imported} ${would}imported, ${known} known already, ${refused} refused`;
}
