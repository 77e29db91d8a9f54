import { setImmediate as nextTurn } from "node:timers/promises";
import type { ImportReport } from "../../core/legacy/legacy-import.ts";
import type { MigrationState } from "../../core/legacy/migration.ts";
import { setPhase } from "../../core/legacy/migration-switch.ts";
import type { PhaseEffect } from "../../core/legacy/phase-effect.ts";
import { phaseEffects } from "../../core/legacy/phase-effect.ts";
import type { LegacyUse } from "../../core/legacy/ports.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import { formatTime } from "../keys/responses.ts";
import { importLines } from "./import-lines.ts";
import { importBody, importQuery, importResponse, migrationResponse, phaseBody } from "./legacy-schemas.ts";

const DAY_SECONDS = 86_400;

/** The calls with which operators import V1 keys, show the progress of the migration, and switch its phase. */
export function migrationRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [statusRoute(ports), switchRoute(ports), importRoute(ports)];
}

function statusRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/migration",
    summary: "Show the progress of the migration",
    access: operators(ports, "keys:read"),
    writes: false,
    response: {
      status: 200,
      description: "The phase, the dates, and the V1 keys by role.",
      schema: migrationResponse,
    },
    handle: async (call) => call.reply.send(await statusBody(ports)),
  });
}

function switchRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "PUT",
    path: "/api/admin/migration",
    summary: "Switch the phase for all instances",
    description:
      "Every switch can be undone. The stored phase overrides the policy's phase until `from-policy` is set. A `changed-meanwhile` problem has the `phase` that is in force and `chosen_by`.",
    access: operators(ports, "system:write"),
    writes: true,
    body: phaseBody,
    response: { status: 200, description: "The migration after the switch.", schema: migrationResponse },
    problems: ["changed_meanwhile"],
    handle: async (call) => {
      const { phase, from } = call.body;
      const result = await setPhase(ports.registry, phase, call.caller, from);
      if (result !== "done") {
        const members = presentPhase(ports.registry.migration.state());
        return sendProblem(call.reply, "changed_meanwhile", { members });
      }
      return call.reply.send(await statusBody(ports));
    },
  });
}

function presentPhase({ phase, chosen }: MigrationState) {
  return { phase, chosen_by: chosen ? "operator" : "policy" };
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
    ...presentPhase(state),
    policy_phase: migration.phase,
    deprecated_at: state.deprecatedAt === undefined ? null : formatTime(state.deprecatedAt),
    sunset: formatTime(migration.sunset),
    migrate_until: formatTime(migration.migrateUntil),
    overlap_seconds: migration.overlapSeconds,
    roles: uses
      .filter(({ keys }) => keys > 0)
      .map(({ role, unmigrated, ...all }) => ({ role, ...useBody(all), unmigrated: useBody(unmigrated) })),
    effects: phaseEffects(uses, state, migration, now).map(effectBody),
  };
}

function effectBody({ endsFrom, deniedUsed: [day = 0, week = 0, month = 0], ...effect }: PhaseEffect) {
  return {
    ...effect,
    ends_from: endsFrom === undefined ? null : formatTime(endsFrom),
    denied_used_last_day: day,
    denied_used_last_week: week,
    denied_used_last_month: month,
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
      "At most 8 MB of lines per call. Importing an existing key changes nothing, so an import can be repeated safely.",
    access: operators(ports, "keys:write"),
    writes: true,
    bodyType: "application/x-ndjson",
    body: importBody,
    query: importQuery,
    response: {
      status: 200,
      description: "The report of the import: counts, and each rejected line.",
      schema: importResponse,
    },
    handle: async (call) => {
      const { dry_run: dryRun = false, first_line: firstLine = 1 } = call.query;
      const report = await importLines(ports.registry, call.body, { firstLine, dryRun }, call.caller);
      return call.reply.type("application/json; charset=utf-8").send(await reportText(report));
    },
  });
}

/** How many rejected lines are serialized before the event loop runs other work. */
const LINES_PER_TURN = 1000;

/** The report as JSON, serialized in portions: a report may list a hundred thousand rejected lines. */
async function reportText({ refused: rejected, ...counts }: ImportReport): Promise<string> {
  const parts: string[] = [];
  for (let from = 0; from < rejected.length; from += LINES_PER_TURN) {
    parts.push(JSON.stringify(rejected.slice(from, from + LINES_PER_TURN)).slice(1, -1));
    await nextTurn();
  }
  return `${JSON.stringify(counts).slice(0, -1)},"refused":[${parts.join(",")}]}`;
}
