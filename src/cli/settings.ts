import type { Command } from "commander";
import type { Setting } from "../client/types.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { withClient } from "./with-client.ts";

/** `latchkey settings`: the settings of an instance, without its secrets. */
export function addSettingsCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command("settings")
    .description("show the settings of an instance and where each comes from; shows no secret")
    .option("--changed", "only settings that do not have their default")
    .option("--json", "print JSON")
    .action(async ({ changed, json }: { readonly changed?: true; readonly json?: true }) => {
      finish(
        await withClient(io, async (client) => {
          const { settings } = await client.settings();
          const wanted = changed ? settings.filter(isChanged) : settings;
          io.print(json ? JSON.stringify({ settings: wanted }) : formatSettings(wanted));
        }),
      );
    });
}

function isChanged({ source, value, default: byDefault }: Setting): boolean {
  return (source === "environment" || source === "file") && (value === null || value !== byDefault);
}

function formatSettings(settings: readonly Setting[]): string {
  const rows = settings.map(({ name, source, secret, value, file }) => [
    name,
    value ?? (secret && source !== "unset" ? "(secret)" : "-"),
    file === null ? source : `${source} ${file}`,
  ]);
  return rows.length === 0
    ? "Every setting has its default."
    : formatTable(["setting", "value", "source"], rows);
}
