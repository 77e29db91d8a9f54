import { accessSync, constants, statSync } from "node:fs";
import type { Command } from "commander";
import { AUDIT_MARK } from "../../audit/chain.ts";
import type { FileLine } from "../../audit/lines.ts";
import type { Replay } from "../../audit/replay.ts";
import { createReplay, readPastRequest } from "../../audit/replay.ts";
import { errorMessage } from "../../core/error-message.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { EXIT } from "../exit-codes.ts";
import { fileLines } from "../file-lines.ts";
import type { Io } from "../io.ts";
import { progressBar } from "../progress.ts";
import type { Report } from "./replay-report.ts";
import { countInvalidLine, countRequest, emptyReport, formatReport, reportAsJson } from "./replay-report.ts";

interface ReplayOptions {
  readonly policy: string;
  readonly json?: true;
}

/** `latchkey policy replay`: lists the past requests that another policy would have decided differently. */
export function addReplayCommand(
  policy: Command,
  io: Io,
  readPolicy: (file: string) => Policy | undefined,
  finish: (exitCode: number) => void,
): void {
  policy
    .command("replay <files...>")
    .description(
      "list the requests of audit logs that a policy would have decided differently (docs/reference/policy.md)",
    )
    .requiredOption("--policy <file>", "the policy to decide with")
    .option("--json", "print the report as JSON")
    .action(async (files: readonly string[], options: ReplayOptions) => {
      const found = readPolicy(options.policy);
      const unreadable = files.filter((file) => !isReadable(file));
      for (const file of unreadable) io.printError(`${file}: there is no such file, or it cannot be read`);
      if (unreadable.length > 0) return finish(EXIT.usageError);
      if (found === undefined) return finish(EXIT.failed);
      const report = await replay(io, files, found);
      if (report === undefined) return finish(EXIT.failed);
      io.print(options.json ? JSON.stringify(reportAsJson(report)) : formatReport(report));
      finish(EXIT.done);
    });
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Returns undefined after printing that a file cannot be read completely. */
async function replay(io: Io, files: readonly string[], policy: Policy): Promise<Report | undefined> {
  const decide = createReplay(policy);
  const report = emptyReport();
  const sizes = files.map((file) => statSync(file).size);
  const bar = progressBar(
    io,
    sizes.reduce((sum, size) => sum + size, 0),
  );
  let bytes = 0;
  const onRead = (count: number) => {
    bytes += count;
  };
  for (const file of files) {
    try {
      for await (const lines of fileLines(file, onRead)) {
        for (const line of lines) await replayLine(report, decide, line, file);
        bar.show(bytes, report.lines);
      }
    } catch (error) {
      io.printError(`${file}: ${errorMessage(error)}`);
      return undefined;
    }
  }
  bar.end();
  return report;
}

async function replayLine(report: Report, decide: Replay, line: FileLine, file: string): Promise<void> {
  const place = { file, line: line.number };
  report.lines++;
  const parsed = parseLine(line);
  const past = parsed.kind === "request" ? readPastRequest(parsed.fields) : undefined;
  if (past !== undefined) countRequest(report, past, await decide(past), place);
  else if (parsed.kind === "gap") report.missing += parsed.lines;
  else if (parsed.kind !== "other") countInvalidLine(report, place);
}

type ParsedLine =
  | { readonly kind: "request"; readonly fields: object }
  | { readonly kind: "gap"; readonly lines: number }
  /** A line about something else, or a line that is not JSON. */
  | { readonly kind: "other" | "invalid" };

function parseLine({ text }: FileLine): ParsedLine {
  if (text === undefined) return { kind: "invalid" };
  if (text.trim() === "") return { kind: "other" };
  try {
    const fields: unknown = JSON.parse(text);
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return { kind: "invalid" };
    const { audit, kind, lines } = { audit: undefined, kind: undefined, lines: 0, ...fields };
    if (audit !== AUDIT_MARK) return { kind: "other" };
    if (kind === "gap") return { kind, lines: Number(lines) || 0 };
    return kind === "request" ? { kind, fields } : { kind: "other" };
  } catch {
    return { kind: "invalid" };
  }
}
