import { z } from "zod";
import type { BucketAdmin, BucketLevel, QuotaAdmin, QuotaLevel } from "../../core/limits/ports.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import type { KeyLimits } from "../keys/key-limits.ts";
import { keyLimits } from "../keys/key-limits.ts";
import { withKeyId } from "./operator-call.ts";

export const limitsResponse = z
  .object({
    key_id: z.string(),
    plan: z
      .string()
      .nullable()
      .meta({ description: "The plan that applies; null if the role's own limits apply." }),
    limits: z.array(
      z.object({
        name: z.string(),
        per: z.enum(["key", "owner", "role"]),
        capacity: z.int(),
        refill_per_second: z.number(),
        tokens: z.number().meta({ description: "Tokens that are neither spent nor leased." }),
        leased_tokens: z.int().meta({ description: "Tokens that instances hold as leases." }),
      }),
    ),
    quotas: z.array(
      z.object({
        name: z.string(),
        per: z.enum(["key", "owner", "role"]),
        unit: z.string(),
        limit: z.int(),
        used: z.int().meta({ description: "Units that are spent in the present window." }),
        leased: z.int().meta({ description: "Units that instances hold as leases." }),
        resets_at: z.iso.datetime().meta({ description: "The end of the window." }),
      }),
    ),
  })
  .meta({ title: "Limits" });

/** The stores of buckets and of the counters of quotas. */
export interface LimitAdmin {
  readonly bucketAdmin: BucketAdmin;
  readonly quotaAdmin: QuotaAdmin;
}

/** Shows and resets the buckets and quotas of a key. Buckets per address belong to no key and are not included. */
export function limitRoutes(ports: ApiPorts, admin: LimitAdmin): readonly Endpoint[] {
  return [showRoute(ports, admin), resetRoute(ports, admin)];
}

function showRoute(ports: ApiPorts, { bucketAdmin, quotaAdmin }: LimitAdmin): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/limits/{key_id}",
    summary: "Show the buckets and quotas of a key",
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The buckets and quotas.", schema: limitsResponse },
    problems: ["not_found"],
    handle: (call) =>
      withKeyId(call, async (keyId) => {
        const found = await limitsOf(ports, keyId);
        if (found === undefined) return sendProblem(call.reply, "not_found");
        const [levels, quotas] = await Promise.all([
          bucketAdmin.levels(found.buckets, ports.nowMs()),
          quotaAdmin.levels(found.quotas),
        ]);
        return call.reply.send({
          key_id: keyId,
          plan: found.plan?.name ?? null,
          limits: levels.map(levelBody),
          quotas: quotas.map(quotaBody),
        });
      }),
  });
}

function resetRoute(ports: ApiPorts, { bucketAdmin, quotaAdmin }: LimitAdmin): Endpoint {
  return endpoint({
    method: "DELETE",
    path: "/api/admin/limits/{key_id}",
    summary: "Fill the buckets of a key, and reset its quotas",
    description:
      "Fills the buckets of the key's family and owner, and sets the use of their quotas to 0. What a whole role shares is not changed.",
    access: operators(ports, "keys:write"),
    writes: true,
    response: { status: 204, description: "The buckets are full, and the quotas unused." },
    problems: ["not_found"],
    handle: (call) =>
      withKeyId(call, async (keyId) => {
        const found = await limitsOf(ports, keyId);
        if (found === undefined) return sendProblem(call.reply, "not_found");
        await bucketAdmin.reset(found.buckets.filter(({ limit }) => limit.per !== "role"));
        await quotaAdmin.reset(found.quotas.filter(({ quota }) => quota.per !== "role"));
        return call.reply.code(204).send();
      }),
  });
}

async function limitsOf(ports: ApiPorts, keyId: string): Promise<KeyLimits | undefined> {
  const record = await ports.registry.store.load(keyId);
  return record && keyLimits(ports, record);
}

function levelBody({ limit, tokens, leasedTokens }: BucketLevel) {
  return {
    name: limit.name,
    per: limit.per,
    capacity: limit.capacity,
    refill_per_second: limit.refillPerSecond,
    tokens,
    leased_tokens: leasedTokens,
  };
}

function quotaBody({ demand, limitUnits, usedUnits, leasedUnits, resetsAtMs }: QuotaLevel) {
  const { name, per, unit } = demand.quota;
  const resetsAt = new Date(resetsAtMs).toISOString();
  return { name, per, unit, limit: limitUnits, used: usedUnits, leased: leasedUnits, resets_at: resetsAt };
}
