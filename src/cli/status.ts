import type { Command } from "commander";
import type { Status } from "../client/types.ts";
import { visible } from "../core/escape-text.ts";
import type { Io } from "./io.ts";
import { formatTable } from "./table.ts";
import { withClient } from "./with-client.ts";

/** `latchkey status`: one instance, its store and the other instances. */
export function addStatusCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command("status")
    .description("show an instance, its store and the other instances of its fleet")
    .option("--json", "print JSON")
    .action(async ({ json }: { readonly json?: true }) => {
      finish(
        await withClient(io, async (client) => {
          const status = await client.status();
          io.print(json ? JSON.stringify(status) : formatStatus(status));
        }),
      );
    });
}

function formatStatus(status: Status): string {
  const { instance, capacity } = status;
  const notReady = Object.entries(instance.parts).filter(([, state]) => state !== "ready");
  const state = instance.ready
    ? "ready"
    : `not ready: ${notReady.map(([part, of]) => `${part} ${of}`).join(", ")}`;
  const signers = instance.signing_keys.map(({ kid, use, added_at }) => [kid, use, added_at ?? "unknown"]);
  const selfService = `${known(capacity.self_service_keys)} of ${capacity.self_service_keys_limit}`;
  return [
    `instance  ${visible(instance.version)}, ${state}, up for ${formatSeconds(instance.uptime_seconds)}, phase ${instance.phase}`,
    `store     ${formatStore(status.store)}`,
    `keys      ${known(capacity.keys)} unexpired, ${selfService} self-service, ${capacity.revocations} revocations in memory, ${capacity.remembered_changes} changes remembered`,
    "",
    formatTable(["signing key", "use", "added"], signers),
    "",
    formatTable(
      ["instance", "version", "started", "heartbeat", "phase", "kids"],
      status.instances.map(rowOf),
    ),
  ].join("\n");
}

function formatStore({ kind, up, topology, primary, ...store }: Status["store"]): string {
  const health = up ? "accepts writes" : "does not accept writes";
  if (kind === "embedded") return `embedded, ${health}`;
  const staleness = store.revocation_staleness_seconds;
  const feed =
    staleness === null
      ? "the feed was never received"
      : `the feed was received ${staleness.toFixed(1)} s ago`;
  const failovers =
    store.last_failover_at === null
      ? "no failover since the start"
      : `${store.failovers} ${store.failovers === 1 ? "failover" : "failovers"} since the start, the last at ${store.last_failover_at}`;
  return `Redis (${topology}), primary ${visible(primary ?? "unknown")}, ${health}, ${feed}, ${failovers}`;
}

function rowOf(instance: Status["instances"][number]): readonly string[] {
  const { version, started_at, last_heartbeat_at, phase, kids } = instance;
  const which = instance.this ? "this" : "other";
  return [which, version ?? "unknown", started_at, last_heartbeat_at, phase ?? "unknown", kids.join(" ")];
}

function known(count: number | null): string {
  return count === null ? "unknown" : String(count);
}

function formatSeconds(seconds: number): string {
  const [days, hours, minutes] = [86_400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${minutes} min`;
  return seconds < 86_400 ? `${hours} h` : `${days} d`;
}
