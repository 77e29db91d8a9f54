import type { Command } from "commander";
import { Option } from "commander";
import type { TopUsage, TopUsageQuery } from "../client/types.ts";
import { USAGE_MEASURES } from "../core/usage/top-usage.ts";
import { whenComplete } from "./counted.ts";
import { UsageError } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { withClient } from "./with-client.ts";

interface TopOptions extends Required<Pick<TopUsageQuery, "of" | "by" | "days">> {
  readonly json?: true;
}

/** `latchkey usage top`: the owners, families or routes with the most usage. */
export function addTopUsage(usage: Command, io: Io, finish: (exitCode: number) => void): void {
  usage
    .command("top")
    .description("list the owners, families or routes with the most usage")
    .addOption(
      new Option("--of <what>", "whose usage").choices(["owner", "family", "route"]).default("owner"),
    )
    .addOption(
      new Option("--measure <measure>", "what the list is ordered by")
        .choices(USAGE_MEASURES)
        .default("requests"),
    )
    .addOption(new Option("--days <days>", "days in UTC, with today").choices(["1", "7", "30"]).default("7"))
    .option("--json", "print JSON")
    .action(async (_: unknown, command: Command) => {
      const foreign = ["owner", "family", "keyId", "from", "to", "csv"].filter(
        (name) => name in usage.opts(),
      );
      if (foreign.length > 0) throw new UsageError("top takes --of, --measure, --days and --json only");
      const { of, measure, days, json } = command.optsWithGlobals<
        TopOptions & { measure: TopOptions["by"] }
      >();
      const exitCode = await withClient(io, async (client) => {
        const found = await whenComplete(() => client.usage.top({ of, by: measure, days, limit: 100 }));
        io.print(json ? JSON.stringify(found) : topTable(found));
      });
      finish(exitCode);
    });
}

function topTable({ of, top }: TopUsage): string {
  if (top.length === 0) return "No usage in these days.";
  const isFamily = of === "family";
  const rows = top.map(({ name, owner, allowed, denied, limited, cost }) => [
    name,
    ...(isFamily ? [owner ?? ""] : []),
    ...[allowed, denied, limited].map(String),
    ...(cost === null ? [] : [String(cost)]),
  ]);
  const headings = [of, ...(isFamily ? ["owner"] : []), "allowed", "denied", "limited"];
  return formatTable([...headings, ...(of === "route" ? [] : ["cost"])], rows);
}
