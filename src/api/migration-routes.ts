import { importLegacyKeys } from "../core/legacy-import.ts";
import { setPhase } from "../core/migration-switch.ts";
import type { LegacyUse } from "../core/ports.ts";
import { operators } from "./access.ts";
import type { ApiPorts } from "./calls.ts";
import type { Endpoint } from "./endpoint.ts";
import { endpoint } from "./endpoint.ts";
import { parseImportLines } from "./import-lines.ts";
import { importAnswer, importBody, importQuery, migrationAnswer, phaseBody } from "./legacy-schemas.ts";
import { formatTime } from "./schemas.ts";

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
    answer: { status: 200, description: "Phase, dates, and V1 keys by role.", schema: migrationAnswer },
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
    answer: { status: 200, description: "As it is now.", schema: migrationAnswer },
    handle: async (call) => {
      const origin = call.who;
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
    answer: { status: 200, description: "What was done, line by line.", schema: importAnswer },
    handle: async (call) => {
      const origin = call.who;
      const { dry_run: dryRun = false, first_line: firstLine = 1 } = call.query;
      const { entries, refused } = parseImportLines(call.body, firstLine);
      const report = await importLegacyKeys(ports.registry, entries, origin, dryRun);
      const all = [...refused, ...report.refused].sort((a, b) => a.line - b.line);
      return call.reply.send({ ...report, refused: all });
    },
  });
}
