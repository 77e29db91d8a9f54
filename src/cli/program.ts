import { Command, CommanderError } from "commander";
import { VERSION } from "../config/version.ts";
import { addAuditCommand } from "./audit/audit.ts";
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

export interface Program {
  /** Runs one command; resolves with the exit code. */
  run(args: readonly string[]): Promise<number>;
}

/** `latchkey <command>`: each command is one file. */
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
    .showHelpAfterError("(--help says how)");
  addCommands(program, io, (code) => {
    exitCode = code;
  });
  return {
    async run(args) {
      try {
        await program.parseAsync(args.length === 0 ? ["--help"] : [...args], { from: "user" });
        return exitCode;
      } catch (error) {
        if (error instanceof UsageError) io.printError(`error: ${error.message} (--help says how)`);
        if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usageError;
        if (!isSystemError(error)) throw error;
        io.printError(`latchkey: ${error.message}`);
        return EXIT.failed;
      }
    },
  };
}

/** A file that cannot be written and the like: its message is a sentence, and nobody needs to know from where. */
function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error;
}

/** Every command, each in a file of its own. */
export function addCommands(program: Command, io: Io, finish: (code: number) => void): void {
  program
    .command("serve")
    .description("run an instance; settings come from the environment (docs/reference/settings.md)")
    .option(
      "--accept-empty-registry",
      "go on with what is in DATA_DIR, though the registry that was there before is lost",
    )
    .action(async (options: ServeOptions) => {
      // Only whoever serves waits for everything that serving needs.
      const { serve } = await import("./serve/serve.ts");
      finish(await serve(io, options));
    });
  addKeysCommand(program, io, finish);
  addLimitsCommand(program, io, finish);
  addImportCommand(program, io, finish);
  addMigrationCommand(program, io, finish);
  addExplainCommand(program, io, finish);
  addPolicyCommand(program, io, finish);
  addSmokeCommand(program, io, finish);
  addAuditCommand(program, io, finish);
  addSecretsCommand(program, io, finish);
}
