import type { KeyCounts } from "../../core/keys/key-listing.ts";
import { countKeys, listKeys } from "../../core/keys/key-listing.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { formatTime, keyBody } from "../keys/responses.ts";
import { countQuery, filterOf, listQuery } from "./key-query.ts";
import { keyCountsResponse, keyListResponse } from "./key-schemas.ts";
import { sendQueryProblem } from "./operator-call.ts";

const DEFAULT_PAGE = 100;

/** The calls with which operators find keys, and learn how many keys a change would affect. */
export function listingRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [listRoute(ports), countRoute(ports)];
}

function listRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/keys",
    summary: "List keys",
    description: "Oldest first. A key is listed if it matches every given filter.",
    access: operators(ports, "keys:read"),
    writes: false,
    query: listQuery,
    response: { status: 200, description: "One page of keys.", schema: keyListResponse },
    handle: async ({ query, reply }) => {
      const { cursor, limit = DEFAULT_PAGE } = query;
      const page = { limit, ...(cursor !== undefined && { cursor }) };
      const found = await listKeys(ports.registry, filterOf(query), page);
      if (found === "cursor_unknown") return sendQueryProblem(reply, "cursor", "is not a valid cursor");
      const { views, examined, nextCursor } = found;
      return reply.send({ keys: views.map(keyBody), examined, next_cursor: nextCursor ?? null });
    },
  });
}

function countRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/keys:count",
    summary: "Count keys",
    description:
      "Counts the keys that match every given filter, for example before a revocation. One call reads at most 2000 records. Continue with `next_cursor`, and add the counts.",
    access: operators(ports, "keys:read"),
    writes: false,
    query: countQuery,
    response: { status: 200, description: "The counts of one part.", schema: keyCountsResponse },
    handle: async ({ query, reply }) => {
      const counts = await countKeys(ports.registry, filterOf(query), query.cursor);
      return counts === "cursor_unknown"
        ? sendQueryProblem(reply, "cursor", "is not a valid cursor")
        : reply.send(countsBody(counts));
    },
  });
}

function countsBody({ byStatus, live, lastUsedAt, examined, nextCursor }: KeyCounts) {
  return {
    keys: Object.values(byStatus).reduce((sum, keys) => sum + keys, 0),
    live,
    by_status: byStatus,
    last_used_at: lastUsedAt === undefined ? null : formatTime(lastUsedAt),
    examined,
    next_cursor: nextCursor ?? null,
  };
}
