import { accessSync, constants, statSync } from "node:fs";
import type { Command } from "commander";
import type { FileLine } from "../../audit/lines.ts";
import { readPastLine } from "../../audit/past-line.ts";
import type { Replay } from "../../audit/replay.ts";
import { createReplay } from "../../audit/replay.ts";
import type { Report } from "../../audit/replay-report.ts";
import { countInvalidLine, countRequest, emptyReport } from "../../audit/replay-report.ts";
import { errorMessage } from "../../core/error-message.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { EXIT } from "../exit-codes.ts";
import { fileLines } from "../file-lines.ts";
import type { Io } from "../io.ts";
import { progressBar } from "../progress.ts";
import type { Place } from "./replay-report.ts";
import { formatReport, reportAsJson } from "./replay-report.ts";

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
async function replay(io: Io, files: readonly string[], policy: Policy): Promise<Report<Place> | undefined> {
  const decide = createReplay(policy);
  const report = emptyReport<Place>();
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

async function replayLine(
  report: Report<Place>,
  decide: Replay,
  line: FileLine,
  file: string,
): Promise<void> {
  const place = { file, line: line.number };
  report.lines++;
  const past = readPastLine(line.text);
  if (past.kind === "request") countRequest(report, past.request, await decide(past.request), place);
  else if (past.kind === "gap") report.missing += past.lines;
  else if (past.kind === "invalid") countInvalidLine(report, place);
}
