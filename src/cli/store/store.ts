import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { MAX_FREEZE_SECONDS } from "../../core/keys/freeze.ts";
import { parseDuration } from "../../core/policy/duration.ts";
import type { Io } from "../io.ts";
import { withClient } from "../with-client.ts";
import type { CopyOptions } from "./copy.ts";

/** `latchkey store …`: moves the contents of a store, and freezes the registry for the last step of a move. */
export function addStoreCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const store = program
    .command("store")
    .description("copy the registry into another store, or freeze it (docs/guides/moving-stores.md)");
  addCopy(store, io, finish);
  addFreeze(store, io, finish);
}

function addCopy(store: Command, io: Io, finish: (exitCode: number) => void): void {
  store
    .command("copy [from] [to]")
    .description(
      "copy keys, revocations, overrides, the migration phase, generated secrets and audit events into another store; running it again copies what changed",
    )
    .option(
      "--from <store>",
      "a URL of Redis as in REDIS_URL, or a data directory; by default the store of the settings",
    )
    .option("--to <store>", "the same for the target")
    .option("--verify", "only compare both sides; writes nothing")
    .option("--merge", "accept a target that has keys of its own")
    .option("--json", "print JSON")
    .action(
      async (
        first: string | undefined,
        second: string | undefined,
        options: CopyOptions,
        command: Command,
      ) => {
        const from = options.from ?? first;
        const to = options.to ?? (options.from === undefined ? second : first);
        const isAmbiguous =
          (options.from !== undefined && options.to !== undefined && first !== undefined) ||
          (options.from !== undefined && second !== undefined) ||
          (options.to !== undefined && second !== undefined);
        if (isAmbiguous) command.error("error: name each side once");
        if (from === undefined && to === undefined)
          command.error("error: name the source, the target, or both");
        // Imported here so that other commands do not load the modules of the stores.
        const { copyStore } = await import("./copy.ts");
        finish(
          await copyStore(io, {
            ...options,
            ...(from !== undefined && { from }),
            ...(to !== undefined && { to }),
          }),
        );
      },
    );
}

/** Through an instance: an embedded store is locked by it, and the audit then has the operator and not only the machine. */
function addFreeze(store: Command, io: Io, finish: (exitCode: number) => void): void {
  store
    .command("freeze")
    .description("stop changes of the registry on all instances for a copy; Checks and revocations go on")
    .option(
      "--for <duration>",
      "when the freeze ends by itself, such as 90s; at most 10m",
      toSeconds,
      MAX_FREEZE_SECONDS,
    )
    .option("--json", "print JSON")
    .action(async (options: { readonly for: number; readonly json?: true }) => {
      finish(
        await withClient(io, async (client) => {
          const status = await client.freeze.start(options.for);
          io.print(options.json ? JSON.stringify(status) : `frozen until ${status.frozen_until}`);
        }),
      );
    });
  store
    .command("thaw")
    .description("end a freeze of the registry")
    .option("--json", "print JSON")
    .action(async ({ json }: { readonly json?: true }) => {
      finish(
        await withClient(io, async (client) => {
          await client.freeze.end();
          io.print(json ? JSON.stringify({ frozen_until: null }) : "the registry accepts changes");
        }),
      );
    });
}

function toSeconds(text: string): number {
  const seconds = parseDuration(text) ?? 0;
  if (seconds >= 1 && seconds <= MAX_FREEZE_SECONDS) return seconds;
  throw new InvalidArgumentError("It must be a duration from 1s to 10m.");
}
