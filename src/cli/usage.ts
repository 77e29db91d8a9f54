import type { Command } from "commander";
import { Option } from "commander";
import { USAGE_CSV_HEAD, usageCsvLine } from "../api/admin/usage-csv.ts";
import type { UsageFilter, UsageReport } from "../client/types.ts";
import { USAGE_PERIODS } from "../core/usage/usage-report.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { addTopUsage } from "./top-usage.ts";
import { parseKeyId, withClient } from "./with-client.ts";

/** Families per page: the largest page of the API. */
const PAGE_SIZE = 500;

type Row = UsageReport["usage"][number];

interface UsageOptions {
  readonly owner?: string;
  readonly family?: string;
  readonly keyId?: string;
  readonly by: NonNullable<UsageFilter["by"]>;
  readonly from?: string;
  readonly to?: string;
  readonly csv?: true;
  readonly json?: true;
}

/** `latchkey usage`: what keys have used, of every family or of some. */
export function addUsageCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const usage = program.command("usage");
  addTopUsage(usage, io, finish);
  usage
    .description("show how many requests were allowed, denied and limited, by owner and family")
    .addOption(new Option("--owner <owner>", "only families of this owner").conflicts(["family", "keyId"]))
    .addOption(new Option("--family <family>", "only this family").conflicts(["owner", "keyId"]))
    .addOption(
      new Option("--key-id <key_id>", "only the family of this key")
        .argParser(parseKeyId)
        .conflicts(["owner", "family"]),
    )
    .addOption(new Option("--by <period>", "what a row stands for").choices(USAGE_PERIODS).default("day"))
    .option("--from <time>", "from this date or time (RFC 3339)")
    .option("--to <time>", "before this date or time (RFC 3339)")
    .addOption(new Option("--csv", "print CSV").conflicts("json"))
    .option("--json", "print one JSON row per line")
    .action(async (options: UsageOptions) => {
      const exitCode = await withClient(io, async (client) => {
        const rows = client.usage.all(toFilter(options));
        if (options.csv) await printLines(io, rows, usageCsvLine, USAGE_CSV_HEAD);
        else if (options.json) await printLines(io, rows, (row) => JSON.stringify(row));
        else io.print(usageTable(await collect(rows), options.by));
      });
      finish(exitCode);
    });
}

function toFilter({ owner, family, keyId, by, from, to }: UsageOptions): UsageFilter {
  return {
    by,
    limit: PAGE_SIZE,
    ...(owner !== undefined && { owner }),
    ...(family !== undefined && { family }),
    ...(keyId !== undefined && { key_id: keyId }),
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
  };
}

/** Prints each page when it arrives, so that an export of any size takes little memory. */
async function printLines(
  io: Io,
  rows: AsyncIterable<Row>,
  format: (row: Row) => string,
  head?: string,
): Promise<void> {
  if (head !== undefined) io.print(head);
  for await (const row of rows) io.print(format(row));
}

async function collect(rows: AsyncIterable<Row>): Promise<readonly Row[]> {
  const found: Row[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

function usageTable(rows: readonly Row[], by: UsageOptions["by"]): string {
  if (rows.length === 0) return "No usage in this range.";
  const counts = ["allowed", "denied", "limited"] as const;
  const ofRoutes = by === "route";
  const lines = rows.map((row) => [
    row.owner,
    row.family,
    row.time ?? row.route ?? "",
    ...counts.map((outcome) => String(row[outcome])),
    ...(ofRoutes ? [] : [String(row.cost), unitsOf(row)]),
  ]);
  const sums = counts.map((outcome) => String(rows.reduce((sum, row) => sum + row[outcome], 0)));
  const cost = ofRoutes ? [] : [String(rows.reduce((sum, row) => sum + (row.cost ?? 0), 0))];
  const headings = ["owner", "family", by, ...counts, ...(ofRoutes ? [] : ["cost", "units"])];
  return formatTable(headings, [...lines, ["total", "", "", ...sums, ...cost]]);
}

function unitsOf({ units }: Row): string {
  const list = Object.entries(units ?? {}).map(([unit, amount]) => `${unit}=${amount}`);
  return list.length === 0 ? "-" : list.join(" ");
}
