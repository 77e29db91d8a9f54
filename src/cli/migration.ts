import type { Command } from "commander";
import type { MigrationStatus, Phase } from "../client/types.ts";
import { PHASES } from "../core/migration.ts";
import type { Io } from "./io.ts";
import { remotely } from "./remote.ts";
import { formatTable } from "./table.ts";

/** What each phase means for the V1 keys that there are. */
const MEANING: Readonly<Record<Phase, string>> = {
  silent: "V1 keys are given and good; V2 beside them",
  gradual: "clients that send Accept-Key-Version: 2 get V2 keys where they registered V1",
  active: "answers to V1 keys say that there is V2",
  deprecated: "answers to V1 keys say when they end; migrated ones end after their overlap",
  removed: "V1 keys are given no more; those that were not migrated are refused",
};

interface SetOptions {
  readonly fromPolicy?: true;
  readonly json?: true;
}

/** `latchkey migration …`: how far V1 keys are on their way out, and the switch. */
export function addMigrationCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const migration = program.command("migration").description("move users of V1 keys over, phase by phase");
  migration
    .command("status")
    .description("the phase, and how many V1 keys are still used")
    .option("--json", "as JSON")
    .action(async ({ json }: { readonly json?: true }) => {
      finish(
        await remotely(io, async (client) => {
          const status = await client.migration.show();
          io.print(json ? JSON.stringify(status) : inWords(status));
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
        await remotely(io, async (client) => {
          if (wanted === undefined) return;
          const status = await client.migration.set(wanted);
          io.print(json ? JSON.stringify(status) : inWords(status));
        }),
      );
    });
}

function inWords(status: MigrationStatus): string {
  const { phase, chosen_by, policy_phase, roles } = status;
  const by =
    chosen_by === "policy" ? "as the policy says" : `an operator's choice; the policy says ${policy_phase}`;
  const rows = roles.map((role) => [
    role.role,
    String(role.keys),
    String(role.used_last_day),
    String(role.used_last_week),
    String(role.used_last_month),
  ]);
  const used = roles.reduce((sum, role) => sum + role.used_last_month, 0);
  return [
    `${phase}: ${MEANING[phase]} (${by})`,
    `deprecated since ${status.deprecated_at ?? "never"}, sunset ${status.sunset}, exchange until ${status.migrate_until}`,
    "",
    rows.length === 0
      ? "No V1 keys."
      : formatTable(["role", "V1 keys", "used today", "this week", "this month"], rows),
    ...(rows.length === 0 ? [] : ["", ...PHASES.map((name) => whatIf(name, phase, used))]),
  ].join("\n");
}

function whatIf(name: Phase, now: Phase, used: number): string {
  const hit = name === "removed" ? `: up to ${used} keys that were used this month would be refused` : "";
  return `${name === now ? "→" : " "} ${name}: ${MEANING[name]}${hit}`;
}
