import type { Stats } from "node:fs";
import { statSync } from "node:fs";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { importLines } from "../../api/legacy/import-lines.ts";
import type { LatchkeyClient } from "../../client/client.ts";
import { errorMessage } from "../../core/error-message.ts";
import { visible } from "../../core/escape-text.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { withClient } from "../with-client.ts";
import { withOfflineStore } from "../with-offline-store.ts";
import type { ImportOptions, ImportTotal, SendLines } from "./import-file.ts";
import { Interrupted, InvalidFile, importFile } from "./import-file.ts";

interface CommandOptions extends ImportOptions {
  readonly json?: true;
}

/**
 * `latchkey import FILE`: imports V1 keys of another system. Sends them to the instance that `LATCHKEY_URL` names.
 * Without it, writes directly to the store.
 */
export function addImportCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command("import <file>")
    .description("import V1 keys from JSONL, or from CSV with a heading; a repeated import changes nothing")
    .option("--dry-run", "report the result without importing")
    .option("--from-line <n>", "continue an interrupted import at this line", lineNumber, 1)
    .option("--json", "print the report as JSON")
    .action(async (file: string, options: CommandOptions) => {
      const problem = fileProblem(file);
      if (problem !== undefined) {
        io.printError(`${file}: ${problem}`);
        return finish(EXIT.usageError);
      }
      let total: ImportTotal | undefined;
      const run = async (sendLines: SendLines) => {
        total = await importFile(sendLines, io, file, options);
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
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError("It must be a line number from 1.");
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

/** Prints the problem of an invalid file, or the progress of an interrupted import. */
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

/** Imports into the store of the settings. */
function offline(io: Io, run: (sendLines: SendLines) => Promise<void>): Promise<number> {
  const origin = { caller: { kind: "admin", id: "offline" } } as const;
  return withOfflineStore(io, (registry) =>
    run((lines, { first_line: firstLine = 1, dry_run: dryRun = false } = {}) =>
      importLines(registry, lines, { firstLine, dryRun }, origin),
    ),
  );
}

function formatImportResult(
  { imported, known, refused_lines: refused, lines }: ImportTotal,
  { dryRun }: ImportOptions,
): string {
  const would = dryRun ? "would be " : "";
  return `${lines} lines: ${imported} ${would}imported, ${known} already known, ${refused} rejected`;
}
