import type { Command } from "commander";
import type { Io } from "../io.ts";
import type { CopyOptions } from "./copy.ts";

/** `latchkey store …`: moves the contents of a store, and freezes the registry for the last step of a move. */
export function addStoreCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const store = program
    .command("store")
    .description("copy the registry into another store, or freeze it (docs/guides/moving-stores.md)");
  addCopy(store, io, finish);
}

function addCopy(store: Command, io: Io, finish: (exitCode: number) => void): void {
  store
    .command("copy [from] [to]")
    .description(
      "copy keys, revocations, the migration phase, generated secrets and audit events into another store; running it again copies what changed",
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
