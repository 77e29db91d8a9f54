import { Command, CommanderError } from "commander";
import { VERSION } from "../config/version.ts";
import { addAuditCommand } from "./audit/audit.ts";
import { addConsoleCommand } from "./console.ts";
import { EXIT, UsageError } from "./exit-codes.ts";
import { addExplainCommand } from "./explain.ts";
import { addImportCommand } from "./import/import.ts";
import type { Io } from "./io.ts";
import { addKeysCommand } from "./keys/keys.ts";
import { addLimitsCommand } from "./limits.ts";
import { addMigrationCommand } from "./migration.ts";
import { addPolicyCommand } from "./policy/policy.ts";
import { addSecretsCommand } from "./secrets/secrets.ts";
import type { ServeOptions } from "./serve/serve.ts";
import { addSmokeCommand } from "./smoke/smoke.ts";
import { addStatusCommand } from "./status.ts";
import { addStoreCommand } from "./store/store.ts";
import { addUsageCommand } from "./usage.ts";

export interface Program {
  /** Runs one command. Resolves with the exit code. */
  run(args: readonly string[]): Promise<number>;
}

/** Builds `latchkey <command>`. */
export function buildProgram(io: Io): Program {
  let exitCode = 0;
  const program = new Command("latchkey")
    .description("API keys and authorization beside Envoy")
    .version(VERSION)
    .configureOutput({
      writeOut: (text) => io.print(text.trimEnd()),
      writeErr: (text) => io.printError(text.trimEnd()),
    })
    .exitOverride()
    .helpCommand(false)
    .showHelpAfterError("(see --help)");
  addCommands(program, io, (code) => {
    exitCode = code;
  });
  return {
    async run(args) {
      try {
        await program.parseAsync(args.length === 0 ? ["--help"] : [...args], { from: "user" });
        return exitCode;
      } catch (error) {
        if (error instanceof UsageError) io.printError(`error: ${error.message} (see --help)`);
        if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usageError;
        if (!isSystemError(error)) throw error;
        io.printError(`latchkey: ${error.message}`);
        return EXIT.failed;
      }
    },
  };
}

/** An error of the operating system, such as a file that cannot be written. Its message suffices without a stack trace. */
function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error;
}

/** Adds every command. Each one has its own file or folder. */
export function addCommands(program: Command, io: Io, finish: (code: number) => void): void {
  program
    .command("serve")
    .description("run an instance; settings come from the environment (docs/reference/settings.md)")
    .option(
      "--accept-empty-registry",
      "start with the contents of DATA_DIR although the former registry is lost",
    )
    .action(async (options: ServeOptions) => {
      // Imported here so that other commands do not load the modules of the server.
      const { serve } = await import("./serve/serve.ts");
      finish(await serve(io, options));
    });
  addStatusCommand(program, io, finish);
  addConsoleCommand(program, io, finish);
  addKeysCommand(program, io, finish);
  addLimitsCommand(program, io, finish);
  addUsageCommand(program, io, finish);
  addImportCommand(program, io, finish);
  addMigrationCommand(program, io, finish);
  addExplainCommand(program, io, finish);
  addPolicyCommand(program, io, finish);
  addSmokeCommand(program, io, finish);
  addAuditCommand(program, io, finish);
  addSecretsCommand(program, io, finish);
  addStoreCommand(program, io, finish);
}
