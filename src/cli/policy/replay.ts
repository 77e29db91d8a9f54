import { accessSync, constants, statSync } from "node:fs";
import type { Command } from "commander";
import { AUDIT_MARK } from "../../audit/chain.ts";
import type { Replay } from "../../audit/replay.ts";
import { createReplay, readPastRequest } from "../../audit/replay.ts";
import { errorMessage } from "../../core/error-message.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { EXIT } from "../exit-codes.ts";
import type { FileLine } from "../file-lines.ts";
import { fileLines } from "../file-lines.ts";
import type { Io } from "../io.ts";
import { progressBar } from "../progress.ts";
import type { Report } from "./replay-report.ts";
import { countBad, countRequest, emptyReport, formatReport, reportAsJson } from "./replay-report.ts";

interface ReplayOptions {
  readonly policy: string;
  readonly json?: true;
}

/** `latchkey policy replay`: which past requests another policy would have decided otherwise. */
export function addReplayCommand(
  policy: Command,
  io: Io,
  readPolicy: (file: string) => Policy | undefined,
  finish: (exitCode: number) => void,
): void {
  policy
    .command("replay <files...>")
    .description(
      "which requests of audit logs a policy would have decided otherwise (docs/reference/policy.md)",
    )
    .requiredOption("--policy <file>", "the policy to decide by")
    .option("--json", "the report as JSON")
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

/** Undefined once it has been told that a file cannot be read to its end. */
async function replay(io: Io, files: readonly string[], policy: Policy): Promise<Report | undefined> {
  const decide = createReplay(policy);
  const report = emptyReport();
  const sizes = files.map((file) => statSync(file).size);
  const bar = progressBar(
    io,
    sizes.reduce((sum, size) => sum + size, 0),
  );
  let bytes = 0;
  const read = (more: number) => {
    bytes += more;
  };
  for (const file of files) {
    try {
      for await (const lines of fileLines(file, read)) {
        for (const line of lines) await take(report, decide, line, file);
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

async function take(report: Report, decide: Replay, line: FileLine, file: string): Promise<void> {
  const place = { file, line: line.number };
  report.lines++;
  const told = kindOf(line);
  const past = told.kind === "request" ? readPastRequest(told.fields) : undefined;
  if (past !== undefined) countRequest(report, past, await decide(past), place);
  else if (told.kind === "gap") report.missing += told.lines;
  else if (told.kind !== "other") countBad(report, place);
}

type Kind =
  | { readonly kind: "request"; readonly fields: object }
  | { readonly kind: "gap"; readonly lines: number }
  /** A line about something else; or none at all. */
  | { readonly kind: "other" | "bad" };

function kindOf({ text }: FileLine): Kind {
  if (text === undefined) return { kind: "bad" };
  if (text.trim() === "") return { kind: "other" };
  try {
    const fields: unknown = JSON.parse(text);
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return { kind: "bad" };
    const { audit, kind, lines } = { audit: undefined, kind: undefined, lines: 0, ...fields };
    if (audit !== AUDIT_MARK) return { kind: "other" };
    if (kind === "gap") return { kind, lines: Number(lines) || 0 };
    return kind === "request" ? { kind, fields } : { kind: "other" };
  } catch {
    return { kind: "bad" };
  }
}
