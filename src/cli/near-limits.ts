import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import type { NearLimits } from "../client/types.ts";
import { whenComplete } from "./counted.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { withClient } from "./with-client.ts";

interface NearOptions {
  readonly above: number;
  readonly mode: "enforce" | "shadow";
  readonly json?: true;
}

/** `latchkey limits near`: the quotas near their end. */
export function addNearLimits(limits: Command, io: Io, finish: (exitCode: number) => void): void {
  limits
    .command("near")
    .description("list the quotas of which a large share is used, those with the largest share first")
    .option("--above <percent>", "at least this share of the limit: 50 to 100", toPercent, 80)
    .addOption(
      new Option("--mode <mode>", "whose counters").choices(["enforce", "shadow"]).default("enforce"),
    )
    .option("--json", "print JSON")
    .action(async ({ json, ...query }: NearOptions) => {
      const exitCode = await withClient(io, async (client) => {
        const found = await whenComplete(() => client.limits.near({ ...query, limit: 500 }));
        if (json) return io.print(JSON.stringify(found));
        io.print(nearTable(found));
      });
      finish(exitCode);
    });
}

function toPercent(text: string): number {
  const percent = /^\d{2,3}$/.test(text) ? Number(text) : 0;
  if (percent >= 50 && percent <= 100) return percent;
  throw new InvalidArgumentError("It must be a whole number from 50 to 100.");
}

function nearTable({ quotas, total, above }: NearLimits): string {
  if (quotas.length === 0) return `No quota has used ${above}% of its limit.`;
  const rows = quotas.map(({ per, subject, name, percent, used, leased, limit, unit, resets_at }) => [
    per,
    subject,
    name,
    `${percent}%`,
    `${used + leased} of ${limit}${unit === "requests" ? "" : ` ${unit}`}`,
    resets_at,
  ]);
  const table = formatTable(["per", "subject", "quota", "share", "used", "resets at"], rows);
  return total > quotas.length ? `${table}\nThese are ${quotas.length} of ${total}.` : table;
}
