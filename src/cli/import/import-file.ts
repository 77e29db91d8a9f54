import { closeSync, openSync, readSync, statSync } from "node:fs";
import type { FileLine } from "../../audit/lines.ts";
import type { LatchkeyClient } from "../../client/client.ts";
import { LatchkeyProblem, LatchkeyUnreachable } from "../../client/problem.ts";
import type { ImportReport } from "../../client/types.ts";
import { errorMessage } from "../../core/error-message.ts";
import { visible } from "../../core/escape-text.ts";
import type { RejectedLine } from "../../core/legacy/legacy-import.ts";
import { fileLines } from "../file-lines.ts";
import type { Io } from "../io.ts";
import { progressBar } from "../progress.ts";
import { csvReader } from "./csv.ts";

/** The maximum size of one call: a fraction of a second of work, and a fraction of the allowed body. */
const BATCH = { lines: 1000, characters: 1_000_000 };
const FIELDS = ["api_key", "api_key_hash", "name", "role", "owner", "created_at", "expires_at"];
/** Rejected lines that the report contains. All of them are printed as they occur. */
const MAX_REPORTED_LINES = 1000;

export interface ImportOptions {
  readonly dryRun?: true;
  readonly fromLine: number;
}

export interface ImportTotal extends ImportReport {
  /** The number of the last processed line. */
  readonly lines: number;
  readonly refused_lines: number;
}

export type SendLines = LatchkeyClient["keys"]["import"];

/** The file as a whole is unusable: another encoding, or an invalid heading. */
export class InvalidFile extends Error {}

/** The import was interrupted. The message has the reason and the line to continue from. */
export class Interrupted extends Error {
  /** No response arrived, so the last batch may have been imported. */
  readonly unanswered: boolean;
  constructor(message: string, unanswered: boolean) {
    super(message);
    this.unanswered = unanswered;
  }
}

/** Imports the file in one pass, in bounded memory. Prints each rejected line as it occurs. */
export async function importFile(
  sendLines: SendLines,
  io: Io,
  file: string,
  options: ImportOptions,
): Promise<ImportTotal> {
  rejectOtherEncodings(file);
  const run = createRun(sendLines, io, file, options);
  const parse = lineParser(file);
  for await (const lines of fileLines(file, run.onRead)) {
    for (const line of lines) {
      const parsed = parse(line);
      if ("problem" in parsed && line.number === 1 && isCsv(file)) throw new InvalidFile(parsed.problem);
      if (line.number < options.fromLine) continue;
      await run.add(line.number, parsed);
      if (!line.ended && isCsv(file))
        io.printError(
          `${file}:${line.number}: has no line break at its end; if the file was truncated, this line is incomplete`,
        );
    }
  }
  return run.end();
}

/** Text in UTF-16 or UTF-32 starts with a byte order mark, or has a NUL in its first characters. */
function rejectOtherEncodings(file: string): void {
  const start = Buffer.alloc(4096);
  const opened = openSync(file, "r");
  const length = readSync(opened, start);
  closeSync(opened);
  const [a, b] = start;
  const hasByteOrderMark = (a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff);
  if (hasByteOrderMark || (!isGzip(file) && start.subarray(0, length).includes(0)))
    throw new InvalidFile("is not UTF-8 text (UTF-16?): save it as UTF-8");
}

type ParsedLine = { readonly json: string } | { readonly problem: string };

function isCsv(file: string): boolean {
  return /\.csv(\.gz)?$/i.test(file);
}

function isGzip(file: string): boolean {
  return file.endsWith(".gz");
}

function lineParser(file: string): (line: FileLine) => ParsedLine {
  const csv = isCsv(file) ? csvReader(FIELDS) : (text: string) => ({ json: text });
  return ({ text, number }) => {
    if (text === undefined) return { problem: "is not UTF-8, or is too long" };
    const unmarked = number === 1 ? text.replace(/^\uFEFF/, "") : text;
    return csv(unmarked.endsWith("\r") ? unmarked.slice(0, -1) : unmarked, number);
  };
}

/** Sends lines in batches and sums up the reports. */
function createRun(sendLines: SendLines, io: Io, file: string, options: ImportOptions) {
  const bar = progressBar(io, statSync(file).size);
  const total = { imported: 0, known: 0, refused: [] as RejectedLine[], refused_lines: 0, lines: 0 };
  let batch: string[] = [];
  let [characters, bytes, done] = [0, 0, options.fromLine - 1];
  const reject = ({ line, detail }: RejectedLine) => {
    total.refused_lines++;
    if (total.refused.length < MAX_REPORTED_LINES) total.refused.push({ line, detail });
    bar.printError(`${file}:${line}: ${visible(detail)}`);
  };
  const send = async () => {
    const report = await sendBatch(sendLines, batch, done + 1, options).catch((error: unknown) => {
      bar.end();
      throw done < options.fromLine && isClientError(error) ? error : interrupted(error, done);
    });
    [batch, characters, done] = [[], 0, total.lines];
    total.imported += report.imported;
    total.known += report.known;
    report.refused.forEach(reject);
    bar.show(bytes, total.lines);
  };
  return {
    onRead(count: number) {
      bytes += count;
    },
    async add(line: number, parsed: ParsedLine) {
      total.lines = line;
      if ("problem" in parsed) reject({ line, detail: parsed.problem });
      const json = "json" in parsed ? parsed.json : "";
      batch.push(json);
      characters += json.length;
      if (batch.length >= BATCH.lines || characters >= BATCH.characters) await send();
    },
    async end(): Promise<ImportTotal> {
      if (batch.length > 0) await send();
      bar.end();
      return total;
    },
  };
}

async function sendBatch(
  sendLines: SendLines,
  batch: readonly string[],
  firstLine: number,
  { dryRun }: ImportOptions,
): Promise<ImportReport> {
  if (batch.every((line) => line === "")) return { imported: 0, known: 0, refused: [] };
  return sendLines(batch.join("\n"), { first_line: firstLine, ...(dryRun && { dry_run: true }) });
}

/** `withClient` reports these errors itself. They pass unchanged as long as no batch has been imported. */
function isClientError(error: unknown): boolean {
  return error instanceof LatchkeyProblem || error instanceof LatchkeyUnreachable;
}

function interrupted(error: unknown, done: number): Interrupted {
  return new Interrupted(
    `${errorMessage(error)}; the lines up to ${done} are processed: continue with --from-line ${done + 1}`,
    error instanceof LatchkeyUnreachable,
  );
}
