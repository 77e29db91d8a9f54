import type { Command } from "commander";
import type { MigrationStatus, PhaseEffect } from "../client/types.ts";
import { PHASES } from "../core/legacy/migration.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { withClient } from "./with-client.ts";

interface SetOptions {
  readonly fromPolicy?: true;
  readonly ifPhase?: string;
  readonly json?: true;
}

/** `latchkey migration …`: the progress of the migration from V1 keys, and its phase. */
export function addMigrationCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const migration = program.command("migration").description("migrate users of V1 keys, phase by phase");
  const print = (status: MigrationStatus, json: true | undefined) =>
    io.print(json ? JSON.stringify(status) : formatMigration(status));
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
    .option(
      "--if-phase <phase>",
      "only if this phase is in force: another operator may have set one meanwhile",
    )
    .option("--json", "print the status as JSON")
    .action(async (phase: string | undefined, options: SetOptions, command: Command) => {
      const { fromPolicy, ifPhase, json } = options;
      const known = PHASES.find((name) => name === phase);
      const seen = PHASES.find((name) => name === ifPhase);
      if (ifPhase !== seen) command.error(`error: --if-phase must be one of ${PHASES.join(", ")}`);
      const wanted = fromPolicy ? "from-policy" : known;
      if (wanted === undefined || (fromPolicy && phase !== undefined))
        command.error(`error: give one of ${PHASES.join(", ")}, or --from-policy`);
      finish(
        await withClient(io, async (client) => {
          if (wanted === undefined) return;
          print(await client.migration.set(wanted, seen), json);
        }),
      );
    });
}

function formatMigration(status: MigrationStatus): string {
  const { phase, chosen_by, policy_phase, roles } = status;
  const origin =
    chosen_by === "policy" ? "from the policy" : `set by an operator; the policy says ${policy_phase}`;
  const rows = roles.map(({ role, unmigrated, ...all }) =>
    [role, all.keys, all.used_last_day, all.used_last_week, all.used_last_month, unmigrated.keys].map(String),
  );
  const headings = ["role", "V1 keys", "used in 24 h", "7 days", "30 days", "not exchanged"];
  return [
    `phase ${phase} (${origin})`,
    `deprecated since ${status.deprecated_at ?? "never"}, sunset ${status.sunset}, exchange until ${status.migrate_until}`,
    "",
    rows.length === 0 ? "No V1 keys." : formatTable(headings, rows),
    "",
    "Effect of each phase on them now:",
    ...status.effects.map(
      (effect) =>
        `${effect.phase === phase ? "→" : " "} ${effect.phase.padEnd(10)}  ${meaningOf(effect, status)}`,
    ),
  ].join("\n");
}

function meaningOf(effect: PhaseEffect, { roles }: MigrationStatus): string {
  const { phase, valid, denied } = effect;
  const ending = endingOf(effect);
  switch (phase) {
    case "silent":
      return `${keys(valid)} valid; a V1 registration issues a V1 key`;
    case "gradual":
      return `${keys(valid)} valid; a V1 registration issues a V2 key to clients that send Accept-Key-Version: 2`;
    case "active": {
      const used = roles.reduce((sum, role) => sum + role.used_last_month, 0);
      return `${keys(valid)} valid; responses announce V2 (${used} used in 30 days)`;
    }
    case "deprecated":
      return `${keys(valid)} valid; responses announce their end; ${ending}`;
    case "removed": {
      const used = `${effect.denied_used_last_day} in 24 h, ${effect.denied_used_last_week} in 7 days, ${effect.denied_used_last_month} in 30 days`;
      return `${keys(denied)} denied at once (used: ${used}); ${ending}; no V1 key is issued`;
    }
  }
}

function endingOf({ ending, ends_from: from }: PhaseEffect): string {
  if (from === null) return "no V1 key was exchanged";
  const end = from.slice(0, 10);
  return ending === 1
    ? `1 exchanged V1 key ends on ${end}, or after its own overlap`
    : `${ending} exchanged V1 keys end on ${end}, or after their own overlap`;
}

function keys(count: number): string {
  return count === 1 ? "1 V1 key" : `${count} V1 keys`;
}
