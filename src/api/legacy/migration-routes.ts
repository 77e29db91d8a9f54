import { setImmediate as nextTurn } from "node:timers/promises";
import type { ImportReport } from "../../core/legacy/legacy-import.ts";
import { setPhase } from "../../core/legacy/migration-switch.ts";
import type { LegacyUse } from "../../core/legacy/ports.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { formatTime } from "../keys/schemas.ts";
import { importLines } from "./import-lines.ts";
import { importBody, importQuery, importResponse, migrationResponse, phaseBody } from "./legacy-schemas.ts";

const DAY_SECONDS = 86_400;

/** What operators do with V1 keys: take them over, see how many are left, move on, and back. */
export function migrationRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [statusRoute(ports), switchRoute(ports), importRoute(ports)];
}

function statusRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/migration",
    summary: "Show how far the migration is",
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "Phase, dates, and V1 keys by role.", schema: migrationResponse },
    handle: async (call) => call.reply.send(await statusBody(ports)),
  });
}

function switchRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "PUT",
    path: "/api/admin/migration",
    summary: "Switch the phase, for all instances",
    description: "Every step can be taken back. The stored phase wins over the policy's until `from-policy`.",
    access: operators(ports, "system:write"),
    writes: true,
    body: phaseBody,
    response: { status: 200, description: "As it is now.", schema: migrationResponse },
    handle: async (call) => {
      const origin = call.caller;
      await setPhase(ports.registry, call.body.phase, origin);
      return call.reply.send(await statusBody(ports));
    },
  });
}

async function statusBody({ registry, policy, nowMs }: ApiPorts) {
  const state = registry.migration.state();
  const { migration, roles } = policy();
  const now = Math.floor(nowMs() / 1000);
  const since = [now - DAY_SECONDS, now - 7 * DAY_SECONDS, now - 30 * DAY_SECONDS];
  const uses = await Promise.all(
    [...roles.keys()].map(async (role) => ({ role, ...(await registry.store.legacyUse(role, since)) })),
  );
  return {
    phase: state.phase,
    chosen_by: state.chosen ? "operator" : "policy",
    policy_phase: migration.phase,
    deprecated_at: state.deprecatedAt === undefined ? null : formatTime(state.deprecatedAt),
    sunset: formatTime(migration.sunset),
    migrate_until: formatTime(migration.migrateUntil),
    overlap_seconds: migration.overlapSeconds,
    roles: uses
      .filter(({ keys }) => keys > 0)
      .map(({ role, unmigrated, ...all }) => ({ role, ...useBody(all), unmigrated: useBody(unmigrated) })),
  };
}

function useBody({ keys, used: [day = 0, week = 0, month = 0] }: LegacyUse["unmigrated"]) {
  return { keys, used_last_day: day, used_last_week: week, used_last_month: month };
}

function importRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/admin/keys:import",
    summary: "Import V1 keys",
    description:
      "Up to 8 MB of lines a call. Importing again what is there changes nothing: send it again when in doubt.",
    access: operators(ports, "keys:write"),
    writes: true,
    bodyType: "application/x-ndjson",
    body: importBody,
    query: importQuery,
    response: { status: 200, description: "What was done, line by line.", schema: importResponse },
    handle: async (call) => {
      const { dry_run: dryRun = false, first_line: firstLine = 1 } = call.query;
      const report = await importLines(ports.registry, call.body, { firstLine, dryRun }, call.caller);
      return call.reply.type("application/json; charset=utf-8").send(await reportText(report));
    },
  });
}

/** Refusals that are written before others have their turn. */
const WRITTEN_AT_ONCE = 1000;

/** The report as JSON. There may be a refusal for each of a hundred thousand lines. */
async function reportText({ refused, ...counts }: ImportReport): Promise<string> {
  const parts: string[] = [];
  for (let from = 0; from < refused.length; from += WRITTEN_AT_ONCE) {
    parts.push(JSON.stringify(refused.slice(from, from + WRITTEN_AT_ONCE)).slice(1, -1));
    await nextTurn();
  }
  return `${JSON.stringify(counts).slice(0, -1)},"refused":[${parts.join(",")}]}`;
}
