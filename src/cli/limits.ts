import type { Command } from "commander";
import type { Plans } from "../client/types.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { keyIdArgument, withClient } from "./with-client.ts";

/** `latchkey limits …`: the token buckets of a live instance or of its fleet. */
export function addLimitsCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const limits = program
    .command("limits")
    .description("show plans, and show or refill a key's token buckets");
  addPlans(limits, io, finish);
  limits
    .command("show")
    .addArgument(keyIdArgument())
    .description("show the remaining tokens in a key's buckets")
    .option("--json", "print JSON")
    .action(async (keyId: string, { json }: { readonly json?: true }) => {
      const exitCode = await withClient(io, async (client) => {
        const found = await client.limits.show(keyId);
        if (json) return io.print(JSON.stringify(found));
        if (found.plan) io.print(`plan: ${found.plan}`);
        if (found.limits.length === 0) return io.print("No limits apply to this key.");
        const rows = found.limits.map((limit) => [
          limit.name,
          limit.per,
          `${limit.tokens.toFixed(1)} of ${limit.capacity}`,
          String(limit.leased_tokens),
          formatRefill(limit.refill_per_second),
        ]);
        io.print(formatTable(["limit", "per", "tokens", "leased", "refill"], rows));
      });
      finish(exitCode);
    });
  limits
    .command("reset")
    .addArgument(keyIdArgument())
    .description("refill the buckets of the key's family and owner")
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

function addPlans(limits: Command, io: Io, finish: (exitCode: number) => void): void {
  limits
    .command("plans")
    .description("list the plans of the active policy and their limits")
    .option("--json", "print JSON")
    .action(async ({ json }: { readonly json?: true }) => {
      const exitCode = await withClient(io, async (client) => {
        const found = await client.policy.plans();
        if (json) return io.print(JSON.stringify(found));
        if (found.plans.length === 0) return io.print("The policy has no plans.");
        io.print(formatTable(["plan", "limit", "per", "amount", "refill"], found.plans.flatMap(planRows)));
      });
      finish(exitCode);
    });
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
