import { setImmediate as nextTurn } from "node:timers/promises";
import { listOverrides } from "../../core/overrides/list-overrides.ts";
import type { OverrideSubject } from "../../core/overrides/override.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { decodeCursor, encodeCursor } from "../http/page-cursor.ts";
import { sendQueryProblem } from "./operator-call.ts";
import { overrideResponseBody } from "./override-response.ts";
import { overrideListQuery, overrideListResponse } from "./override-schemas.ts";

const DEFAULT_LIMIT = 100;

/** Lists the overrides that this instance knows. It knows those of other instances as soon as its Checks apply them. */
export function overrideListRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/overrides",
    summary: "List overrides",
    description:
      "Those in force: of owners, then of families, each in the order of the subjects. Continue with `next_cursor` until it is null.",
    access: operators(ports, "keys:read"),
    writes: false,
    query: overrideListQuery,
    response: { status: 200, description: "One page of overrides.", schema: overrideListResponse },
    async handle({ reply, query: { plan, cursor, limit = DEFAULT_LIMIT } }) {
      const after = cursor === undefined ? undefined : subjectFrom(cursor);
      if (after === "invalid") return sendQueryProblem(reply, "cursor", "is not a valid cursor");
      const page = { limit, ...(plan !== undefined && { plan }), ...(after && { after }) };
      const { overrides } = ports.registry.view;
      const found = await listOverrides(overrides, page, ports.nowMs(), nextTurn);
      return reply.send({
        overrides: found.overrides.map((override) => overrideResponseBody(override, ports)),
        next_cursor: found.hasMore ? cursorAfter(found.overrides.at(-1)) : null,
      });
    },
  });
}

function cursorAfter(last: OverrideSubject | undefined): string | null {
  return last === undefined ? null : encodeCursor([last.scope, last.subject]);
}

function subjectFrom(cursor: string): OverrideSubject | "invalid" {
  const [scope, subject = ""] = decodeCursor(cursor) ?? [];
  return scope === "owner" || scope === "family" ? { scope, subject } : "invalid";
}
