import type { Command } from "commander";
import { hasExtraUnits } from "../client/extra-units.ts";
import type { AppliedOverride } from "../client/types.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { nameArgument, withClient } from "./with-client.ts";

/** Overrides per page: the largest page of the API. */
const PAGE_SIZE = 500;

interface ListOptions {
  readonly plan?: string;
  readonly json?: true;
}

/** `latchkey limits list`: the overrides that are in force. */
export function addOverrideList(limits: Command, io: Io, finish: (exitCode: number) => void): void {
  limits
    .command("list")
    .description("list the overrides that are in force: of owners, then of families")
    .option("--plan <plan>", "only overrides that name this plan", nameArgument)
    .option("--json", "print one JSON override per line")
    .action(async ({ plan, json }: ListOptions) => {
      const filter = { limit: PAGE_SIZE, ...(plan !== undefined && { plan }) };
      const exitCode = await withClient(io, async (client) => {
        const found: AppliedOverride[] = [];
        for await (const override of client.limits.allOverrides(filter)) {
          if (json) io.print(JSON.stringify(override));
          else found.push(override);
        }
        if (!json) io.print(overrideTable(found));
      });
      finish(exitCode);
    });
}

function overrideTable(overrides: readonly AppliedOverride[]): string {
  if (overrides.length === 0) return "No overrides.";
  const rows = overrides.map((override) => [
    override.owner === null ? `family ${override.family}` : `owner ${override.owner}`,
    planOf(override),
    quotasOf(override),
    override.expires_at ?? "-",
    override.note ?? "",
  ]);
  return formatTable(["of", "plan", "quotas", "until", "note"], rows);
}

function planOf({ plan, plan_known: isKnown }: AppliedOverride): string {
  return `${plan ?? "-"}${isKnown ? "" : " (not in the policy)"}`;
}

/** As `latchkey limits set --quota` takes them, without extra units whose window is over: they would be granted again. */
function quotasOf({ quotas }: AppliedOverride): string {
  const list = (quotas ?? []).map(
    (quota) => `${quota.name}=${quota.limit}${hasExtraUnits(quota, Date.now()) ? `+${quota.extra}` : ""}`,
  );
  return list.length === 0 ? "-" : list.join(" ");
}
