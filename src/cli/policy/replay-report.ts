import type { Report } from "../../audit/replay-report.ts";
import { byRequests, limitations, reportBody } from "../../audit/replay-report.ts";
import { formatTable } from "../table.ts";

export interface Place {
  readonly file: string;
  readonly line: number;
}

/** The report with the names that its JSON has always had. */
export function reportAsJson(report: Report<Place>) {
  const { undetermined, undetermined_because: because, ...body } = reportBody(report);
  return { ...body, untold: undetermined, untold_because: because };
}

export function formatReport(report: Report<Place>): string {
  const { requests, same, changed, undetermined, bad } = report;
  const rows = byRequests(report.changes).map((change) => [
    String(change.requests),
    change.route,
    change.role,
    change.was,
    change.would_be,
    placeOf(change.first),
  ]);
  const reasons = byRequests(report.undetermined_because).map(
    ({ requests: count, why, first }) => `  ${count}: ${why} (${placeOf(first)})`,
  );
  const invalidLines = report.bad_lines.map((place) => `  ${placeOf(place)}`);
  return [
    ...(rows.length === 0 ? [] : [formatTable(HEADINGS, rows), ""]),
    `${requests} requests: ${same} decided as before, ${changed} differently, ${undetermined} undetermined`,
    ...reasons,
    ...(bad === 0 ? [] : [`${bad} invalid lines, ignored:`, ...invalidLines]),
    ...(bad > invalidLines.length ? ["  and more"] : []),
    ...limitations(report).map((text) => `- ${text}`),
  ].join("\n");
}

const HEADINGS = ["requests", "route", "role", "was", "would be", "first"];

function placeOf({ file, line }: Place): string {
  return `${file}:${line}`;
}
