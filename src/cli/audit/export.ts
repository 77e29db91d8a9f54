import type { Command } from "commander";
import { Option } from "commander";
import type { Io } from "../io.ts";
import { withClient } from "../with-client.ts";
import type { FilterOptions } from "./filter-options.ts";
import { filterOf, withFilter } from "./filter-options.ts";

interface ExportOptions extends FilterOptions {
  readonly format: "csv" | "jsonl";
}

/** `latchkey audit export`: prints each page when it arrives, so that an export of any size takes little memory. */
export function addAuditExport(audit: Command, io: Io, finish: (exitCode: number) => void): void {
  withFilter(audit.command("export"))
    .description("print all events in the store of a live instance, newest first")
    .addOption(new Option("--format <format>", "the form").choices(["csv", "jsonl"]).default("jsonl"))
    .action(async ({ format, ...options }: ExportOptions) => {
      const exitCode = await withClient(io, async (client) => {
        const pieces = client.auditExport(filterOf(options), format === "csv" ? "csv" : "ndjson");
        for await (const piece of pieces) {
          const lines = piece.replace(/\r?\n$/, "");
          if (lines !== "") io.print(lines);
        }
      });
      finish(exitCode);
    });
}
