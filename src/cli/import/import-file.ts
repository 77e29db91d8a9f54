import { closeSync, openSync, readSync, statSync } from "node:fs";
import type { LatchkeyClient } from "../../client/client.ts";
import { LatchkeyProblem, LatchkeyUnreachable } from "../../client/problem.ts";
import type { ImportReport } from "../../client/types.ts";
import { errorMessage } from "../../core/error-message.ts";
import type { RejectedLine } from "../../core/legacy/legacy-import.ts";
import type { FileLine } from "../file-lines.ts";
import { fileLines } from "../file-lines.ts";
import type { Io } from "../io.ts";
import { progressBar } from "../progress.ts";
import { visible } from "../table.ts";
import { csvReader } from "./csv.ts";

/** Lines a call, and what they may weigh: a fraction of a second, and of what a call may carry. */
const PORTION = { lines: 1000, characters: 1_000_000 };
const FIELDS = ["api_key", "api_key_hash", "name", "role", "owner", "created_at", "expires_at"];
/** Refusals that the report keeps; all of them are told as they come. */
const MAX_KEPT_REFUSALS = 1000;

export interface ImportOptions {
  readonly dryRun?: true;
  readonly fromLine: number;
}

export interface ImportTotal extends ImportReport {
  /** The number of the last line that is done. */
  readonly lines: number;
  readonly refused_lines: number;
}

export type SendLines = LatchkeyClient["keys"]["import"];

/** Not one line of the file could be read rightly. */
export class InvalidFile extends Error {}

/** It was cut off: says why, and where to go on. */
export class Interrupted extends Error {
  /** No answer came: the portion in question may have been done. */
  readonly unanswered: boolean;
  constructor(message: string, unanswered: boolean) {
    super(message);
    this.unanswered = unanswered;
  }
}

/** Reads the file once, in bounded memory; each refused line is told as it comes. */
export async function importFile(
  sending: SendLines,
  io: Io,
  file: string,
  options: ImportOptions,
): Promise<ImportTotal> {
  refuseOtherEncodings(file);
  const run = createRun(sending, io, file, options);
  const toJson = jsonReader(file);
  for await (const lines of fileLines(file, run.read)) {
    for (const line of lines) {
      const read = toJson(line);
      if ("problem" in read && line.number === 1 && isCsv(file)) throw new InvalidFile(read.problem);
      if (line.number < options.fromLine) continue;
      await run.take(line.number, read);
      if (!line.ended && isCsv(file))
        io.printError(
          `${file}:${line.number}: no line break follows; if the file was cut off, so was this line`,
        );
    }
  }
  return run.end();
}

/** Text in UTF-16 or UTF-32 begins with its mark, or has a NUL early on. */
function refuseOtherEncodings(file: string): void {
  const begin = Buffer.alloc(4096);
  const opened = openSync(file, "r");
  const length = readSync(opened, begin);
  closeSync(opened);
  const [a, b] = begin;
  const marked = (a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff);
  if (marked || (!isZipped(file) && begin.subarray(0, length).includes(0)))
    throw new InvalidFile("is not UTF-8 text (UTF-16?): save it as UTF-8");
}

type Read = { readonly json: string } | { readonly problem: string };

function isCsv(file: string): boolean {
  return /\.csv(\.gz)?$/i.test(file);
}

function isZipped(file: string): boolean {
  return file.endsWith(".gz");
}

function jsonReader(file: string): (line: FileLine) => Read {
  const csv = isCsv(file) ? csvReader(FIELDS) : (text: string) => ({ json: text });
  return ({ text, number }) => {
    if (text === undefined) return { problem: "is not UTF-8, or far too long" };
    const unmarked = number === 1 ? text.replace(/^\uFEFF/, "") : text;
    return csv(unmarked.endsWith("\r") ? unmarked.slice(0, -1) : unmarked, number);
  };
}

/** Sends what it is given in portions, and sums up what came of them. */
function createRun(sending: SendLines, io: Io, file: string, options: ImportOptions) {
  const bar = progressBar(io, statSync(file).size);
  const total = { imported: 0, known: 0, refused: [] as RejectedLine[], refused_lines: 0, lines: 0 };
  let portion: string[] = [];
  let [characters, bytes, done] = [0, 0, options.fromLine - 1];
  const refuse = ({ line, detail }: RejectedLine) => {
    total.refused_lines++;
    if (total.refused.length < MAX_KEPT_REFUSALS) total.refused.push({ line, detail });
    bar.complain(`${file}:${line}: ${visible(detail)}`);
  };
  const send = async () => {
    const report = await sendPortion(sending, portion, done + 1, options).catch((error: unknown) => {
      bar.end();
      throw done < options.fromLine && isClientError(error) ? error : interrupted(error, done);
    });
    [portion, characters, done] = [[], 0, total.lines];
    total.imported += report.imported;
    total.known += report.known;
    report.refused.forEach(refuse);
    bar.show(bytes, total.lines);
  };
  return {
    read(more: number) {
      bytes += more;
    },
    async take(line: number, read: Read) {
      total.lines = line;
      if ("problem" in read) refuse({ line, detail: read.problem });
      const json = "json" in read ? read.json : "";
      portion.push(json);
      characters += json.length;
      if (portion.length >= PORTION.lines || characters >= PORTION.characters) await send();
    },
    async end(): Promise<ImportTotal> {
      if (portion.length > 0) await send();
      bar.end();
      return total;
    },
  };
}

async function sendPortion(
  sending: SendLines,
  portion: readonly string[],
  first: number,
  { dryRun }: ImportOptions,
): Promise<ImportReport> {
  if (portion.every((line) => line === "")) return { imported: 0, known: 0, refused: [] };
  return sending(portion.join("\n"), { first_line: first, ...(dryRun && { dry_run: true }) });
}

/** Told by `remotely`, as long as nothing is done. */
function isClientError(error: unknown): boolean {
  return error instanceof LatchkeyProblem || error instanceof LatchkeyUnreachable;
}

function interrupted(error: unknown, done: number): Interrupted {
  const why = errorMessage(error);
  return new Interrupted(
    `${why}; lines up to ${done} are done, --from-line ${done + 1} goes on there`,
    error instanceof LatchkeyUnreachable,
  );
}
