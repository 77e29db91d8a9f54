import type { FastifyReply } from "fastify";
import type { UsageStore } from "../../core/usage/ports.ts";
import type { ReportSpan, UsagePeriod, UsageRange, UsageRow } from "../../core/usage/usage-report.ts";
import { reportSpan } from "../../core/usage/usage-report.ts";
import type { UsageRetention } from "../../core/usage/usage-time.ts";
import { sendProblem } from "../http/problem.ts";
import { formatTime } from "./responses.ts";

/** The dependencies of the calls that report usage. */
export interface UsagePorts {
  readonly store: UsageStore;
  readonly retention: UsageRetention;
  /** The store's clock in milliseconds. */
  readonly storeNowMs: () => number;
  readonly metering: () => "on" | "off" | "stopped";
}

interface UsageQuery extends UsageRange {
  readonly by?: UsagePeriod | undefined;
}

/** The span of a report. Undefined if a problem has been sent. */
export function spanOf(
  { by = "day", ...range }: UsageQuery,
  { retention, storeNowMs }: UsagePorts,
  reply: FastifyReply,
): ReportSpan | undefined {
  const span = reportSpan(by, range, retention, Math.floor(storeNowMs() / 1000));
  if (!("problem" in span)) return span;
  const { field, problem } = span;
  sendProblem(reply, "request_invalid", { errors: [{ pointer: `#/query/${field}`, detail: problem }] });
  return undefined;
}

/** The members of every report but its rows. */
export function reportBody({ by, from, to, unitSeconds }: ReportSpan, { metering }: UsagePorts) {
  return {
    by,
    from: formatTime(from * unitSeconds),
    to: formatTime(to * unitSeconds),
    metering: metering(),
  };
}

export function rowBody({ startsAt, route, requests, cost, units }: UsageRow) {
  return {
    time: startsAt === undefined ? null : formatTime(startsAt),
    route: route ?? null,
    ...requests,
    cost: cost ?? null,
    units: units === undefined ? null : Object.fromEntries(units),
  };
}
