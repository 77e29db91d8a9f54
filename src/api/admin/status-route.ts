import { z } from "zod";
import { PHASES } from "../../core/legacy/migration.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";

const time = z.iso.datetime();
const phase = z.enum(PHASES);
const parts = z
  .record(z.string(), z.enum(["ready", "not_ready", "starting", "waiting", "draining"]))
  .meta({ description: "The components, as `/readyz` reports them." });

const thisInstance = z
  .object({
    version: z.string(),
    started_at: time,
    uptime_seconds: z.int(),
    ready: z.boolean(),
    parts,
    phase: phase.meta({ description: "The phase of V1 keys that applies here." }),
    policy_hash: z.string(),
    signing_keys: z.array(
      z.object({
        kid: z.string(),
        use: z.enum(["sign", "verify"]),
        added_at: time.nullable().meta({ description: "Null if it is not known yet." }),
      }),
    ),
  })
  .meta({ title: "ThisInstance" });

const store = z
  .object({
    kind: z.enum(["embedded", "redis"]),
    up: z.boolean().meta({ description: "Whether the store accepts writes." }),
    topology: z.string().nullable().meta({ description: "Null for the embedded store." }),
    primary: z.string().nullable().meta({ description: "The address of the primary, without credentials." }),
    failovers: z.int().meta({ description: "Moves of this instance to another primary since its start." }),
    last_failover_at: time.nullable(),
    revocation_staleness_seconds: z
      .number()
      .nullable()
      .meta({ description: "Seconds since the revocation feed was last received; null if it never was." }),
    clock_ahead_seconds: z.number().meta({ description: "This machine's clock against the store's." }),
  })
  .meta({ title: "StoreStatus" });

const instance = z
  .object({
    this: z.boolean().meta({ description: "Whether this instance responds." }),
    version: z.string().nullable().meta({ description: "Null for a version that does not publish it." }),
    started_at: time,
    last_heartbeat_at: time.meta({ description: "By the store's clock." }),
    phase: phase.nullable(),
    allowed_per_second: z.number().nullable().meta({
      description: "Between its last two heartbeats; null if it does not publish it.",
    }),
    denied_per_second: z.number().nullable(),
    kids: z.array(z.string()).meta({ description: "The signing keys that it accepts; the first one signs." }),
  })
  .meta({ title: "InstanceStatus" });

const capacity = z
  .object({
    keys: z.int().nullable().meta({ description: "Unexpired keys; null while the store does not respond." }),
    self_service_keys: z.int().nullable(),
    self_service_keys_limit: z.int(),
    revocations: z.int().meta({ description: "Entries of the revocation view in memory." }),
    remembered_changes: z
      .int()
      .meta({ description: "Changes that this instance would enter again after a failover." }),
  })
  .meta({ title: "CapacityStatus" });

export const statusResponse = z
  .object({ instance: thisInstance, store, instances: z.array(instance), capacity })
  .meta({ title: "Status" });

export type StatusBody = z.output<typeof statusResponse>;

/** @param read resolves although the store does not respond */
export function statusRoute(ports: ApiPorts, read: () => Promise<StatusBody>): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/status",
    summary: "Show this instance, its store and the other instances",
    description:
      "Other instances are those of the last heartbeat, which each instance sends every five seconds. It waits for the store only to count keys.",
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The status.", schema: statusResponse },
    handle: async (call) => call.reply.send(await read()),
  });
}
