import { z } from "zod";
import { readEvents } from "../../core/audit/audit-query.ts";
import type { AuditStore } from "../../core/audit/ports.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { pageLimit } from "../http/query-values.ts";
import { sendQueryProblem } from "./operator-call.ts";

const DEFAULT_LIMIT = 100;

const name = z.string().min(1).max(300);

export const auditQuery = z
  .strictObject({
    after: z
      .string()
      .max(64)
      .optional()
      .meta({ description: "Returns the events after this cursor; the newest events without it." }),
    event: name.optional(),
    outcome: z.enum(["done", "refused"]).optional(),
    actor: name.optional().meta({ description: "`admin:…`, `key:…` or `anonymous`." }),
    key_id: name.optional(),
    family: name.optional(),
    owner: name.optional(),
    role: name.optional(),
    limit: pageLimit.optional(),
  })
  .meta({ title: "AuditQuery" });

export const auditResponse = z
  .object({
    events: z.array(
      z.object({
        cursor: z.string(),
        event_id: z.string(),
        time: z.string(),
        event: z.string(),
        outcome: z.enum(["done", "refused"]),
        reason: z.string().nullable(),
        actor: z.string(),
        address: z.string().nullable(),
        request_id: z.string().nullable(),
        key_id: z.string().nullable(),
        family: z.string().nullable(),
        owner: z.string().nullable(),
        role: z.string().nullable(),
        plan: z.string().nullable(),
      }),
    ),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: "The cursor for the next page; null if there are no events yet." }),
  })
  .meta({ title: "AuditEvents" });

/** The audit events of keys: actor, key and outcome. */
export function auditRoute(ports: ApiPorts, store: AuditStore): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/audit",
    summary: "Read the audit events",
    description:
      "Oldest first. Contains the events of keys; the lines of requests are only in the log. With a filter, a page may contain fewer events than match. Continue with `next_cursor`.",
    access: operators(ports, "audit:read"),
    writes: false,
    query: auditQuery,
    response: { status: 200, description: "One page of events.", schema: auditResponse },
    handle: async (call) => {
      const { after, limit = DEFAULT_LIMIT, key_id: keyId, ...fields } = call.query;
      const page = { limit, ...(after !== undefined && { after }) };
      try {
        const filter = { ...fields, ...(keyId !== undefined && { keyId }) };
        const { events, cursor } = await readEvents(store, filter, page);
        return call.reply.send({ events: events.map(eventBody), next_cursor: cursor ?? null });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        return sendQueryProblem(call.reply, "after", "is not a valid cursor");
      }
    },
  });
}

function eventBody({ cursor, event }: Awaited<ReturnType<AuditStore["read"]>>[number]) {
  return {
    cursor,
    event_id: event.eventId,
    time: new Date(event.atMs).toISOString(),
    event: event.event,
    outcome: event.outcome,
    reason: event.reason ?? null,
    actor: event.actor,
    address: event.address ?? null,
    request_id: event.requestId ?? null,
    key_id: event.keyId ?? null,
    family: event.family ?? null,
    owner: event.owner ?? null,
    role: event.role ?? null,
    plan: event.plan ?? null,
  };
}
