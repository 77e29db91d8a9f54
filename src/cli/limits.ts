import type { Command } from "commander";
import type { Limits, PlanKeys, Plans } from "../client/types.ts";
import { visible } from "../core/escape-text.ts";
import { whenComplete } from "./counted.ts";
import { UsageError } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { addNearLimits } from "./near-limits.ts";
import { addOverrideList } from "./override-list.ts";
import type { SubjectOptions } from "./overrides.ts";
import { addOverrideCommands, showOverride, withSubject } from "./overrides.ts";
import { formatTable } from "./table.ts";
import { keyIdArgument, withClient } from "./with-client.ts";

/** `latchkey limits …`: the buckets and quotas of a live instance or of its fleet. */
export function addLimitsCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const limits = program
    .command("limits")
    .description(
      "show plans, show or reset a key's buckets and quotas, and override the limits of owners and families",
    );
  addPlans(limits, io, finish);
  addOverrideList(limits, io, finish);
  addNearLimits(limits, io, finish);
  addOverrideCommands(limits, io, finish);
  withSubject(limits.command("show"))
    .addArgument(keyIdArgument("[key_id]"))
    .description("show a key's buckets and quotas, or the override of an owner or a family")
    .option("--json", "print JSON")
    .action(async (keyId: string | undefined, options: SubjectOptions) => {
      if (keyId === undefined) return finish(await showOverride(io, options));
      const { owner, family, json } = options;
      if (owner ?? family) throw new UsageError("give a key id, --owner or --family");
      const exitCode = await withClient(io, async (client) => {
        const found = await client.limits.show(keyId);
        if (json) return io.print(JSON.stringify(found));
        if (found.plan) io.print(`plan: ${found.plan}`);
        if (found.limits.length + found.quotas.length === 0) return io.print("No limits apply to this key.");
        printLimits(io, found);
        printQuotas(io, found);
      });
      finish(exitCode);
    });
  limits
    .command("reset")
    .addArgument(keyIdArgument())
    .description("refill the buckets of the key's family and owner, and reset their quotas")
    .option("--json", "print JSON")
    .action(async (keyId: string, { json }: { readonly json?: true }) => {
      finish(
        await withClient(io, async (client) => {
          await client.limits.reset(keyId);
          io.print(json ? JSON.stringify({ key_id: keyId, reset: true }) : `full: ${keyId}`);
        }),
      );
    });
}

function printLimits(io: Io, { limits }: Limits): void {
  if (limits.length === 0) return;
  const rows = limits.map((limit) => [
    limit.name,
    limit.per,
    `${limit.tokens.toFixed(1)} of ${limit.capacity}`,
    String(limit.leased_tokens),
    formatRefill(limit.refill_per_second),
  ]);
  io.print(formatTable(["limit", "per", "tokens", "leased", "refill"], rows));
}

function printQuotas(io: Io, { quotas }: Limits): void {
  if (quotas.length === 0) return;
  const rows = quotas.map((quota) => [
    quota.name,
    quota.per,
    `${quota.used} of ${formatAmount(quota.limit, quota.unit)}`,
    String(quota.leased),
    quota.resets_at,
  ]);
  io.print(formatTable(["quota", "per", "used", "leased", "resets at"], rows));
}

function addPlans(limits: Command, io: Io, finish: (exitCode: number) => void): void {
  limits
    .command("plans")
    .description("list the plans of the active policy and their limits")
    .option("--keys", "count the keys of each plan instead")
    .option("--json", "print JSON")
    .action(async ({ keys, json }: { readonly keys?: true; readonly json?: true }) => {
      const exitCode = await withClient(io, async (client) => {
        if (keys) return printPlanKeys(io, await whenComplete(client.policy.planKeys), json);
        const found = await client.policy.plans();
        if (json) return io.print(JSON.stringify(found));
        if (found.plans.length === 0) io.print("The policy has no plans.");
        else
          io.print(
            formatTable(["plan", "limit", "per", "capacity", "refill"], found.plans.flatMap(planRows)),
          );
        for (const line of overrideLines(found)) io.print(line);
      });
      finish(exitCode);
    });
}

function printPlanKeys(io: Io, found: PlanKeys, json?: true): void {
  if (json) io.print(JSON.stringify(found));
  for (const { name, keys, known } of json ? [] : found.plans)
    io.print(`${visible(name)}: ${keys} keys${known ? "" : ", but the policy lacks the plan"}`);
}

/** Only the plans that overrides name. */
function overrideLines({ plans, unknown }: Plans): readonly string[] {
  const known = plans.filter(({ overrides }) => overrides > 0);
  return [
    ...known.map(({ name, overrides }) => `${name}: ${overrides} overrides`),
    ...unknown.map(({ name, overrides }) => `${name}: ${overrides} overrides, but the policy lacks the plan`),
  ];
}

function planRows({ name, ...lists }: Plans["plans"][number]): readonly (readonly string[])[] {
  const limits = (lists.rate_limits ?? []).map((limit) => [
    name,
    limit.name,
    limit.per,
    String(limit.capacity),
    formatRefill(limit.refill_per_second),
  ]);
  const quotas = (lists.quotas ?? []).map((quota) => [
    name,
    quota.name,
    quota.per,
    formatAmount(quota.limit, quota.unit),
    `every ${quota.every}${quota.time_zone === "UTC" ? "" : `, ${quota.time_zone}`}`,
  ]);
  const rows = [...limits, ...quotas];
  return rows.length === 0 ? [[name, "none", "-", "-", "-"]] : rows;
}

function formatAmount(amount: number, unit: string): string {
  return unit === "requests" ? String(amount) : `${amount} ${unit}`;
}

function formatRefill(perSecond: number): string {
  return `${Number(perSecond.toPrecision(3))}/s`;
}
