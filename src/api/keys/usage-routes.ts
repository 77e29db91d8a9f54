import type { Principal } from "../../core/decision/principal.ts";
import { ownerOf } from "../../core/decision/principal.ts";
import type { BucketAdmin, BucketLevel, QuotaAdmin, QuotaLevel } from "../../core/limits/ports.ts";
import { familyRows } from "../../core/usage/usage-report.ts";
import type { Access } from "../http/access.ts";
import { keyHolders } from "../http/access.ts";
import type { Holder } from "../http/caller.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { keyLimits } from "./key-limits.ts";
import type { UsagePorts } from "./usage-body.ts";
import { reportBody, rowBody, spanOf } from "./usage-body.ts";
import { holderLimitsResponse, usageQuery, usageResponse } from "./usage-schemas.ts";

/** The calls by which a holder sees the limits and the usage of its own key. */
export function usageRoutes(ports: ApiPorts, usage: UsagePorts, limits: LimitLevels): readonly Endpoint[] {
  return [limitsRoute(ports, limits), usageRoute(ports, usage)];
}

/** Reads the levels of buckets and of the counters of quotas. */
export interface LimitLevels {
  readonly bucketAdmin: Pick<BucketAdmin, "levels">;
  readonly quotaAdmin: Pick<QuotaAdmin, "levels">;
}

/** Each of these calls reads the store, so the address of every caller is charged. */
function chargedHolders(ports: ApiPorts): Access<Holder> {
  const holders = keyHolders(ports);
  return { ...holders, admit: (request, reply) => holders.admit(request, reply, true) };
}

function limitsRoute(ports: ApiPorts, levels: LimitLevels): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/auth/v2/limits",
    summary: "Show the limits of the presented key",
    description:
      "Returns the plan, the rate limits and the quotas of the key. The call counts against `guards.open_calls`.",
    access: chargedHolders(ports),
    writes: false,
    response: { status: 200, description: "The limits of the key.", schema: holderLimitsResponse },
    problems: ["store_unavailable"],
    handle: async ({ reply, caller: { principal } }) =>
      reply.header("cache-control", "no-store").send(await holderLimitsBody(ports, levels, principal)),
  });
}

/** The limits and quotas of a key, with what is left. */
export async function holderLimitsBody(
  ports: ApiPorts,
  { bucketAdmin, quotaAdmin }: LimitLevels,
  key: Parameters<typeof keyLimits>[1],
) {
  const found = keyLimits(ports, key);
  const [levels, quotas] = await Promise.all([
    bucketAdmin.levels(found?.buckets ?? [], ports.nowMs()),
    quotaAdmin.levels(found?.quotas ?? []),
  ]);
  return {
    plan: found?.plan?.name ?? null,
    rate_limits: levels.map(levelBody),
    quotas: quotas.map(quotaBody),
  };
}

function levelBody({ limit, tokens }: BucketLevel) {
  return {
    name: limit.name,
    per: limit.per,
    capacity: limit.capacity,
    refill_per_second: limit.refillPerSecond,
    remaining: limit.per === "role" ? null : Math.floor(tokens),
  };
}

/** What a whole role uses is other people's traffic. */
function quotaBody({ demand, limitUnits, usedUnits, leasedUnits, resetsAtMs }: QuotaLevel) {
  const { name, per, unit } = demand.quota;
  const isShared = per === "role";
  return {
    name,
    unit,
    limit: limitUnits,
    used: isShared ? null : usedUnits,
    remaining: isShared ? null : Math.max(0, limitUnits - usedUnits - leasedUnits),
    resets_at: new Date(resetsAtMs).toISOString(),
  };
}

function usageRoute(ports: ApiPorts, usage: UsagePorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/auth/v2/usage",
    summary: "Show the usage of the presented key",
    description:
      "Returns the usage of the key's family, so that a refresh does not hide what was used before. It is at most about 10 seconds old. The call counts against `guards.open_calls`.",
    access: chargedHolders(ports),
    writes: false,
    query: usageQuery,
    response: { status: 200, description: "The usage.", schema: usageResponse },
    problems: ["store_unavailable"],
    async handle({ reply, caller: { principal }, query }) {
      const span = spanOf(query, usage, reply);
      if (span === undefined) return reply;
      const rows = await familyRows(usage.store, subjectOf(principal), span);
      const body = { ...reportBody(span, usage), usage: rows.map(rowBody) };
      return reply.header("cache-control", "no-store").send(body);
    },
  });
}

function subjectOf(principal: Pick<Principal, "family" | "owner">) {
  return { family: principal.family, owner: ownerOf(principal) };
}
