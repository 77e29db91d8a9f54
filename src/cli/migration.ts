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

/** `latchkey migration …`: the progress of the migration from V1 keys, and its phase. */
export function addMigrationCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const migration = program.command("migration").description("migrate users of V1 keys, phase by phase");
  const print = (status: MigrationStatus, json: true | undefined) =>
    io.print(json ? JSON.stringify(status) : formatMigration(status, Date.now()));
  migration
    .command("status")
    .description("show the phase, the number of V1 keys in use, and the effect of each phase on them")
    .option("--json", "print JSON")
    .action(async ({ json }: { readonly json?: true }) => {
      finish(
        await withClient(io, async (client) => {
          print(await client.migration.show(), json);
        }),
      );
    });
  migration
    .command("set [phase]")
    .description(`set the phase: ${PHASES.join(", ")}; every change can be reverted`)
    .option("--from-policy", "use the phase of the policy file")
    .option("--json", "print the status as JSON")
    .action(async (phase: string | undefined, { fromPolicy, json }: SetOptions, command: Command) => {
      const known = PHASES.find((name) => name === phase);
      const wanted = fromPolicy ? "from-policy" : known;
      if (wanted === undefined || (fromPolicy && phase !== undefined))
        command.error(`error: give one of ${PHASES.join(", ")}, or --from-policy`);
      finish(
        await withClient(io, async (client) => {
          if (wanted === undefined) return;
          print(await client.migration.set(wanted), json);
        }),
      );
    });
}

function formatMigration(status: MigrationStatus, nowMs: number): string {
  const { phase, chosen_by, policy_phase, roles } = status;
  const origin =
    chosen_by === "policy" ? "from the policy" : `set by an operator; the policy says ${policy_phase}`;
  const rows = roles.map(({ role, unmigrated, ...all }) =>
    [role, all.keys, all.used_last_day, all.used_last_week, all.used_last_month, unmigrated.keys].map(String),
  );
  const headings = ["role", "V1 keys", "used in 24 h", "7 days", "30 days", "not exchanged"];
  const meaning = meaningOf(status, nowMs);
  return [
    `phase ${phase} (${origin})`,
    `deprecated since ${status.deprecated_at ?? "never"}, sunset ${status.sunset}, exchange until ${status.migrate_until}`,
    "",
    rows.length === 0 ? "No V1 keys." : formatTable(headings, rows),
    "",
    "Effect of each phase on them now:",
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
  const exchangedCount = all.keys - left.keys;
  const exchanged =
    exchangedCount === 1
      ? `1 exchanged V1 key ends on ${end}, or after its own overlap`
      : `${exchangedCount} exchanged V1 keys end on ${end}, or after their own overlap`;
  return {
    silent: `${keys(all.keys)} valid; a V1 registration issues a V1 key`,
    gradual: `${keys(all.keys)} valid; a V1 registration issues a V2 key to clients that send Accept-Key-Version: 2`,
    active: `${keys(all.keys)} valid; responses announce V2 (${all.used_last_month} used in 30 days)`,
    deprecated: `${keys(left.keys)} valid; responses announce their end; ${exchanged}`,
    removed: `${keys(left.keys)} denied at once (used: ${left.used_last_day} in 24 h, ${left.used_last_week} in 7 days, ${left.used_last_month} in 30 days); ${exchanged}; no V1 key is issued`,
  };
}

function keys(count: number): string {
  return count === 1 ? "1 V1 key" : `${count} V1 keys`;
}

function sum(uses: readonly LegacyUse[]): LegacyUse {
  const total = (name: keyof LegacyUse) => uses.reduce((subtotal, use) => subtotal + use[name], 0);
  return {
    keys: total("keys"),
    used_last_day: total("used_last_day"),
    used_last_week: total("used_last_week"),
    used_last_month: total("used_last_month"),
  };
}
