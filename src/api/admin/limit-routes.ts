import { z } from "zod";
import type { BucketAdmin, BucketLevel } from "../../core/limits/ports.ts";
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
  })
  .meta({ title: "Limits" });

/** Shows and resets the buckets of a key. Buckets per address belong to no key and are not included. */
export function limitRoutes(ports: ApiPorts, buckets: BucketAdmin): readonly Endpoint[] {
  return [showRoute(ports, buckets), resetRoute(ports, buckets)];
}

function showRoute(ports: ApiPorts, buckets: BucketAdmin): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/limits/{key_id}",
    summary: "Show the buckets of a key",
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The buckets.", schema: limitsResponse },
    problems: ["not_found"],
    handle: (call) =>
      withKeyId(call, async (keyId) => {
        const found = await limitsOf(ports, keyId);
        if (found === undefined) return sendProblem(call.reply, "not_found");
        const levels = await buckets.levels(found.demands, ports.nowMs());
        const plan = found.plan?.name ?? null;
        return call.reply.send({ key_id: keyId, plan, limits: levels.map(levelBody) });
      }),
  });
}

function resetRoute(ports: ApiPorts, buckets: BucketAdmin): Endpoint {
  return endpoint({
    method: "DELETE",
    path: "/api/admin/limits/{key_id}",
    summary: "Fill the buckets of a key",
    description:
      "Fills the buckets of the key's family and owner. A bucket that a whole role shares is not changed.",
    access: operators(ports, "keys:write"),
    writes: true,
    response: { status: 204, description: "The buckets are full." },
    problems: ["not_found"],
    handle: (call) =>
      withKeyId(call, async (keyId) => {
        const found = await limitsOf(ports, keyId);
        if (found === undefined) return sendProblem(call.reply, "not_found");
        await buckets.reset(found.demands.filter(({ limit }) => limit.per !== "role"));
        return call.reply.code(204).send();
      }),
  });
}

async function limitsOf(
  { registry, policy, nowMs }: ApiPorts,
  keyId: string,
): Promise<KeyLimits | undefined> {
  const record = await registry.store.load(keyId);
  return record && keyLimits(policy(), record, registry.view.overrides, nowMs());
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
