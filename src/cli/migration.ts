import type { Command } from "commander";
import type { LegacyUse, MigrationStatus, Phase } from "../client/types.ts";
import { PHASES } from "../core/legacy/migration.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { withClient } from "./with-client.ts";

interface SetOptions {
  readonly fromPolicy?: true;
  readonly json?: true;
}

/** `latchkey migration …`: how far V1 keys are on their way out, and the switch. */
export function addMigrationCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const migration = program.command("migration").description("move users of V1 keys over, phase by phase");
  const shown = (status: MigrationStatus) => formatMigration(status, Date.now());
  migration
    .command("status")
    .description("the phase, how many V1 keys are still used, and what each phase would mean for them")
    .option("--json", "as JSON")
    .action(async ({ json }: { readonly json?: true }) => {
      finish(
        await withClient(io, async (client) => {
          const status = await client.migration.show();
          io.print(json ? JSON.stringify(status) : shown(status));
        }),
      );
    });
  migration
    .command("set [phase]")
    .description(`${PHASES.join(", ")}; every step can be taken back`)
    .option("--from-policy", "as the policy file says")
    .option("--json", "the status as JSON")
    .action(async (phase: string | undefined, { fromPolicy, json }: SetOptions, command: Command) => {
      const known = PHASES.find((name) => name === phase);
      const wanted = fromPolicy ? "from-policy" : known;
      if (wanted === undefined || (fromPolicy && phase !== undefined))
        command.error(`error: give one of ${PHASES.join(", ")}, or --from-policy`);
      finish(
        await withClient(io, async (client) => {
          if (wanted === undefined) return;
          const status = await client.migration.set(wanted);
          io.print(json ? JSON.stringify(status) : shown(status));
        }),
      );
    });
}

function formatMigration(status: MigrationStatus, nowMs: number): string {
  const { phase, chosen_by, policy_phase, roles } = status;
  const by =
    chosen_by === "policy" ? "as the policy says" : `an operator's choice; the policy says ${policy_phase}`;
  const rows = roles.map(({ role, unmigrated, ...all }) =>
    [role, all.keys, all.used_last_day, all.used_last_week, all.used_last_month, unmigrated.keys].map(String),
  );
  const headings = ["role", "V1 keys", "used in 24 h", "7 days", "30 days", "not exchanged"];
  const meaning = meaningOf(status, nowMs);
  return [
    `phase ${phase} (${by})`,
    `deprecated since ${status.deprecated_at ?? "never"}, sunset ${status.sunset}, exchange until ${status.migrate_until}`,
    "",
    rows.length === 0 ? "No V1 keys." : formatTable(headings, rows),
    "",
    "What each phase means for them now:",
    ...PHASES.map((name) => `${name === phase ? "→" : " "} ${name.padEnd(10)}  ${meaning[name]}`),
  ].join("\n");
}

function meaningOf(
  { roles, deprecated_at, overlap_seconds }: MigrationStatus,
  nowMs: number,
): Record<Phase, string> {
  const all = sum(roles);
  const left = sum(roles.map(({ unmigrated }) => unmigrated));
  const from = deprecated_at === null ? nowMs : Date.parse(deprecated_at);
  const end = new Date(from + overlap_seconds * 1000).toISOString().slice(0, 10);
  const gone = all.keys - left.keys;
  const exchanged =
    gone === 1
      ? `1 V1 key that was exchanged ends on ${end}, or after its own overlap`
      : `${gone} V1 keys that were exchanged end on ${end}, or after their own overlap`;
  return {
    silent: `${keys(all.keys)} good; registering V1 gives V1`,
    gradual: `${keys(all.keys)} good; registering V1 gives V2 to clients that send Accept-Key-Version: 2`,
    active: `${keys(all.keys)} good; their answers say that there is V2 (${all.used_last_month} used in 30 days)`,
    deprecated: `${keys(left.keys)} good, and told when they end; ${exchanged}`,
    removed: `${keys(left.keys)} refused at once (used: ${left.used_last_day} in 24 h, ${left.used_last_week} in 7 days, ${left.used_last_month} in 30 days); ${exchanged}; no V1 key is given`,
  };
}

function keys(count: number): string {
  return count === 1 ? "1 V1 key" : `${count} V1 keys`;
}

function sum(uses: readonly LegacyUse[]): LegacyUse {
  const total = (name: keyof LegacyUse) => uses.reduce((so, use) => so + use[name], 0);
  return {
    keys: total("keys"),
    used_last_day: total("used_last_day"),
    used_last_week: total("used_last_week"),
    used_last_month: total("used_last_month"),
  };
}
