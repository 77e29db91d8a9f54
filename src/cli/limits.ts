import type { Command } from "commander";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { keyIdArgument, withClient } from "./with-client.ts";

/** `latchkey limits …`: the token buckets of a live instance or of its fleet. */
export function addLimitsCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const limits = program.command("limits").description("show or refill a key's token buckets");
  limits
    .command("show")
    .addArgument(keyIdArgument())
    .description("show the remaining tokens in a key's buckets")
    .option("--json", "print JSON")
    .action(async (keyId: string, { json }: { readonly json?: true }) => {
      const exitCode = await withClient(io, async (client) => {
        const found = await client.limits.show(keyId);
        if (json) return io.print(JSON.stringify(found));
        if (found.limits.length === 0) return io.print("No limits apply to this key.");
        const rows = found.limits.map((limit) => [
          limit.name,
          limit.per,
          `${limit.tokens.toFixed(1)} of ${limit.capacity}`,
          String(limit.leased_tokens),
          `${Number(limit.refill_per_second.toPrecision(3))}/s`,
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
