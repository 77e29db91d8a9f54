import type { FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";
import { isKeyId } from "../../core/keys/key-record.ts";
import type { UsageSubject } from "../../core/usage/ports.ts";
import type { ReportFilter, ReportSpan, UsageReport } from "../../core/usage/usage-report.ts";
import { readUsage } from "../../core/usage/usage-report.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import { CSV_TYPE, csvDocument } from "../http/csv.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { accepted, withParameters } from "../http/media-types.ts";
import { decodeCursor, encodeCursor } from "../http/page-cursor.ts";
import { sendProblem } from "../http/problem.ts";
import type { UsagePorts } from "../keys/usage-body.ts";
import { reportBody, rowBody, spanOf } from "../keys/usage-body.ts";
import { sendQueryProblem } from "./operator-call.ts";
import { USAGE_CSV_HEAD, usageCsvLine } from "./usage-csv.ts";
import { usageReportQuery, usageReportResponse } from "./usage-schemas.ts";

const DEFAULT_LIMIT = 100;

type Filter = z.output<typeof usageReportQuery>;

/** Reports the usage of every family, of an owner, or of one family. */
export function usageReportRoute(ports: ApiPorts, usage: UsagePorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/usage",
    summary: "Report usage",
    description:
      "By owner and family. Continue with `next_cursor`. With `Accept: text/csv` the rows are CSV, and the next page is in the `Link` header (RFC 8288).",
    access: operators(ports, "keys:read"),
    writes: false,
    query: usageReportQuery,
    response: {
      status: 200,
      description: "One page of usage.",
      schema: usageReportResponse,
      mediaTypes: ["text/csv"],
    },
    problems: ["not_found", "store_unavailable"],
    async handle({ request, reply, query }) {
      const span = spanOf(query, usage, reply);
      if (span === undefined) return reply;
      const after = query.cursor === undefined ? undefined : subjectFrom(query.cursor, query.owner);
      if (after === "invalid") return sendQueryProblem(reply, "cursor", "is not a valid cursor");
      const filter = await filterOf(query, ports, reply);
      if (filter === undefined) return reply;
      const { limit = DEFAULT_LIMIT } = query;
      const report = await readUsage(usage.store, filter, span, { limit, ...(after && { after }) });
      return sendReport(request, reply, { report, span, usage });
    },
  });
}

/** Whose usage is wanted. Undefined if a problem has been sent. */
async function filterOf(
  { key_id: keyId, family, owner }: Filter,
  { registry }: ApiPorts,
  reply: FastifyReply,
): Promise<ReportFilter | undefined> {
  if (keyId === undefined)
    return { ...(family !== undefined && { family }), ...(owner !== undefined && { owner }) };
  if (!isKeyId(keyId)) {
    sendQueryProblem(reply, "key_id", "is not a key id: it must look like basic_1700000000_…");
    return undefined;
  }
  const record = await registry.store.load(keyId);
  if (record === undefined) sendProblem(reply, "not_found");
  return record && { family: record.family };
}

interface SentReport {
  readonly report: UsageReport;
  readonly span: ReportSpan;
  readonly usage: UsagePorts;
}

function sendReport(
  request: FastifyRequest,
  reply: FastifyReply,
  { report: { rows, next }, span, usage }: SentReport,
): FastifyReply {
  const cursor = next === undefined ? null : encodeCursor([next.owner, next.family]);
  const list = rows.map((row) => ({ owner: row.owner, family: row.family, ...rowBody(row) }));
  void reply.header("cache-control", "no-store").header("vary", "accept");
  if (accepted(request, ["text/csv"]) === undefined)
    return reply.send({ ...reportBody(span, usage), usage: list, next_cursor: cursor });
  if (cursor !== null) void reply.header("link", `<${withParameters(request, { cursor })}>; rel="next"`);
  // Each page has the line of column names.
  return reply.type(CSV_TYPE).send(csvDocument(USAGE_CSV_HEAD, list.map(usageCsvLine)));
}

/** @param owner the owner of the filter: its list has no other owner's cursors */
function subjectFrom(cursor: string, owner: string | undefined): UsageSubject | "invalid" {
  const position = decodeCursor(cursor);
  if (position === undefined || (owner ?? position[0]) !== position[0]) return "invalid";
  return { owner: position[0], family: position[1] };
}
