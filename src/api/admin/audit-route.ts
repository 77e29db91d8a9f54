import { z } from "zod";
import { readEvents } from "../../core/audit/audit-query.ts";
import type { AuditStore } from "../../core/audit/ports.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";

const DEFAULT_LIMIT = 100;

const name = z.string().min(1).max(300);

export const auditQuery = z
  .strictObject({
    after: z
      .string()
      .max(64)
      .optional()
      .meta({ description: "Events after this cursor; the newest ones without." }),
    event: name.optional(),
    outcome: z.enum(["done", "refused"]).optional(),
    actor: name.optional().meta({ description: "`admin:…`, `key:…` or `anonymous`." }),
    key_id: name.optional(),
    family: name.optional(),
    owner: name.optional(),
    role: name.optional(),
    limit: z
      .string()
      .regex(/^\d{1,4}$/, "must be a whole number")
      .transform(Number)
      .pipe(z.int().min(1).max(500))
      .optional(),
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
      }),
    ),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: "Where to go on after; null while nothing has ever happened." }),
  })
  .meta({ title: "AuditEvents" });

/** What happened to keys: who did it, to which, with what outcome. */
export function auditRoute(ports: ApiPorts, store: AuditStore): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/audit",
    summary: "Read the audit events",
    description:
      "Oldest first. What happened to keys; lines about requests are in the log alone. With a filter a page may hold fewer events than there are: `next_cursor` goes on.",
    access: operators(ports, "audit:read"),
    writes: false,
    query: auditQuery,
    response: { status: 200, description: "Events.", schema: auditResponse },
    handle: async (call) => {
      const { after, limit = DEFAULT_LIMIT, key_id: keyId, ...fields } = call.query;
      const page = { limit, ...(after !== undefined && { after }) };
      try {
        const filter = { ...fields, ...(keyId !== undefined && { keyId }) };
        const { events, cursor } = await readEvents(store, filter, page);
        return call.reply.send({ events: events.map(eventBody), next_cursor: cursor ?? null });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        return sendProblem(call.reply, "request_invalid", {
          errors: [{ pointer: "#/query/after", detail: "no such cursor" }],
        });
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
  };
}
