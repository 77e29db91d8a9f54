import type { Stats } from "node:fs";
import { statSync } from "node:fs";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { importLines } from "../../api/legacy/import-lines.ts";
import type { LatchkeyClient } from "../../client/client.ts";
import { errorMessage } from "../../core/error-message.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { visible } from "../table.ts";
import { withClient } from "../with-client.ts";
import type { ImportOptions, ImportTotal, SendLines } from "./import-file.ts";
import { Interrupted, InvalidFile, importFile } from "./import-file.ts";

interface CommandOptions extends ImportOptions {
  readonly json?: true;
}

/** `latchkey import FILE`: V1 keys of another system, to the instance that `LATCHKEY_URL` names, else into the store itself. */
export function addImportCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command("import <file>")
    .description("take over V1 keys, from JSONL or CSV with a heading; importing again changes nothing")
    .option("--dry-run", "say what would be done")
    .option("--from-line <n>", "go on here; whoever was cut off can also begin anew", lineNumber, 1)
    .option("--json", "the report as JSON")
    .action(async (file: string, options: CommandOptions) => {
      const unreadable = fileProblem(file);
      if (unreadable !== undefined) {
        io.printError(`${file}: ${unreadable}`);
        return finish(EXIT.usageError);
      }
      let total: ImportTotal | undefined;
      const run = async (sending: SendLines) => {
        total = await importFile(sending, io, file, options);
        io.print(options.json ? JSON.stringify(total) : formatImportResult(total, options));
      };
      const exitCode = await reportFileErrors(io, file, () =>
        io.environment["LATCHKEY_URL"]
          ? withClient(io, (client: LatchkeyClient) => run(client.keys.import))
          : offline(io, run),
      );
      finish(exitCode === EXIT.done && (total?.refused_lines ?? 0) > 0 ? EXIT.failed : exitCode);
    });
}

function lineNumber(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError("It is a line's number, from 1.");
  return Number(text);
}

function fileProblem(file: string): string | undefined {
  let found: Stats | undefined;
  try {
    found = statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    return errorMessage(error);
  }
  if (found === undefined) return "there is no such file";
  return found.isFile() ? undefined : "is not a file";
}

/** What is wrong with the file, and how far a run that was cut off has come, in a sentence. */
async function reportFileErrors(io: Io, file: string, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof InvalidFile) {
      io.printError(`${file}: ${visible(error.message)}`);
      return EXIT.usageError;
    }
    if (!(error instanceof Interrupted)) throw error;
    io.printError(`latchkey: ${error.message}`);
    return error.unanswered ? EXIT.unanswered : EXIT.failed;
  }
}

/** Into the store that the settings name; an embedded one must not be in use. */
async function offline(io: Io, run: (sending: SendLines) => Promise<void>): Promise<number> {
  const { openOffline } = await import("../../server/offline.ts");
  const opened = await openOffline(io.environment);
  if (!opened.ok) {
    io.printError(opened.problems.join("\n"));
    io.printError("LATCHKEY_URL names the instance, if one is running");
    return 1;
  }
  const origin = { caller: { kind: "admin", id: "offline" } } as const;
  try {
    await run((lines, { first_line: firstLine = 1, dry_run: dryRun = false } = {}) =>
      importLines(opened.registry, lines, { firstLine, dryRun }, origin),
    );
    return 0;
  } finally {
    await opened.close();
  }
}

function formatImportResult(
  { imported, known, refused_lines: refused, lines }: ImportTotal,
  { dryRun }: ImportOptions,
): string {
  const would = dryRun ? "would be " : "";
  return `${lines} lines: ${imported} ${would}imported, ${known} known already, ${refused} refused`;
}
