import type { FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";
import type { FoundEvents } from "../../core/audit/audit-query.ts";
import { readEvents } from "../../core/audit/audit-query.ts";
import type { AuditStore, StoredEvent } from "../../core/audit/ports.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import { CSV_TYPE, csvDocument } from "../http/csv.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { accepted, withParameters } from "../http/media-types.ts";
import { AUDIT_CSV_HEAD, auditCsvLine } from "./audit-csv.ts";
import { auditQuery, auditResponse } from "./audit-schemas.ts";
import { sendQueryProblem } from "./operator-call.ts";

const DEFAULT_LIMIT = 100;
const MEDIA_TYPES = ["text/csv", "application/x-ndjson"] as const;

type Query = z.output<typeof auditQuery>;

/** The audit events of keys: actor, key and outcome. */
export function auditRoute(ports: ApiPorts, store: AuditStore): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/audit",
    summary: "Read the audit events",
    description:
      "Oldest first. Contains the events of keys; the lines of requests are only in the log. With a filter, a page may contain fewer events than match, or none. Continue with `next_cursor` or `previous_cursor`. With `Accept: text/csv` or `application/x-ndjson` the events are lines, and the other pages are in the `Link` header (RFC 8288).",
    access: operators(ports, "audit:read"),
    writes: false,
    query: auditQuery,
    response: {
      status: 200,
      description: "One page of events.",
      schema: auditResponse,
      mediaTypes: MEDIA_TYPES,
    },
    problems: ["store_unavailable"],
    handle: async ({ request, reply, query }) => {
      try {
        return sendEvents(request, reply, query, await read(store, query));
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        const name = query.before === undefined ? "after" : "before";
        return sendQueryProblem(reply, name, "is not a valid cursor");
      }
    },
  });
}

function read(store: AuditStore, query: Query): Promise<FoundEvents> {
  const { after, before, from, to, key_id: keyId, limit = DEFAULT_LIMIT, order: _, ...fields } = query;
  const filter = {
    ...fields,
    ...(keyId !== undefined && { keyId }),
    ...(from !== undefined && { fromMs: from }),
    ...(to !== undefined && { toMs: to }),
  };
  return readEvents(store, filter, {
    limit,
    ...(after !== undefined && { after }),
    ...(before !== undefined && { before }),
  });
}

function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  { order }: Query,
  { events: found, cursor, earlier }: FoundEvents,
): FastifyReply {
  const events = (order === "newest" ? found.toReversed() : found).map(eventBody);
  void reply.header("cache-control", "no-store").header("vary", "accept");
  const type = accepted(request, MEDIA_TYPES);
  if (type === undefined)
    return reply.send({ events, next_cursor: cursor ?? null, previous_cursor: earlier ?? null });
  const links = [
    ...(cursor === undefined ? [] : [link(request, "next", { after: cursor, before: undefined })]),
    ...(earlier === undefined ? [] : [link(request, "prev", { before: earlier, after: undefined })]),
  ];
  if (links.length > 0) void reply.header("link", links.join(", "));
  if (type === "text/csv")
    return reply.type(CSV_TYPE).send(csvDocument(AUDIT_CSV_HEAD, events.map(auditCsvLine)));
  return reply.type(type).send(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
}

function link(
  request: FastifyRequest,
  relation: "next" | "prev",
  values: Readonly<Record<string, string | undefined>>,
): string {
  return `<${withParameters(request, values)}>; rel="${relation}"`;
}

function eventBody({ cursor, event }: StoredEvent) {
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
