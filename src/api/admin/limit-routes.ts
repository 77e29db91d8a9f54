import { bucketDemands } from "../../core/limits/bucket-demands.ts";
import type { BucketAdmin, BucketDemand, BucketLevel } from "../../core/limits/ports.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import { limitsResponse } from "../keys/schemas.ts";
import { withKeyId } from "./operator-call.ts";

/** What operators see and do of a key's buckets. Those per address belong to no key, and are not among them. */
export function limitRoutes(ports: ApiPorts, buckets: BucketAdmin): readonly Endpoint[] {
  return [showRoute(ports, buckets), resetRoute(ports, buckets)];
}

function showRoute(ports: ApiPorts, buckets: BucketAdmin): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/limits/{key_id}",
    summary: "Show what is left in a key's buckets",
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The buckets.", schema: limitsResponse },
    problems: ["not_found"],
    handle: (call) =>
      withKeyId(call, async (keyId) => {
        const demands = await demandsOf(ports, keyId);
        if (demands === undefined) return sendProblem(call.reply, "not_found");
        const levels = await buckets.levels(demands, ports.nowMs());
        return call.reply.send({ key_id: keyId, limits: levels.map(levelBody) });
      }),
  });
}

function resetRoute(ports: ApiPorts, buckets: BucketAdmin): Endpoint {
  return endpoint({
    method: "DELETE",
    path: "/api/admin/limits/{key_id}",
    summary: "Fill a key's buckets",
    description: "Those of its family and its owner. A bucket that a whole role shares stays as it is.",
    access: operators(ports, "keys:write"),
    writes: true,
    response: { status: 204, description: "They are full." },
    problems: ["not_found"],
    handle: (call) =>
      withKeyId(call, async (keyId) => {
        const demands = await demandsOf(ports, keyId);
        if (demands === undefined) return sendProblem(call.reply, "not_found");
        await buckets.reset(demands.filter(({ limit }) => limit.per !== "role"));
        return call.reply.code(204).send();
      }),
  });
}

async function demandsOf(
  { registry, policy }: ApiPorts,
  keyId: string,
): Promise<readonly BucketDemand[] | undefined> {
  const record = await registry.store.load(keyId);
  const role = record && policy().roles.get(record.role);
  return role && bucketDemands(role, record, () => "").filter(({ limit }) => limit.per !== "address");
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
