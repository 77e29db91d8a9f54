import type { Report } from "../../audit/replay-report.ts";
import { byRequests, limitations } from "../../audit/replay-report.ts";
import { formatTable } from "../table.ts";

export interface Place {
  readonly file: string;
  readonly line: number;
}

export function formatReport(report: Report<Place>): string {
  const { requests, same, changed, untold, bad } = report;
  const rows = byRequests(report.changes).map((change) => [
    String(change.requests),
    change.route,
    change.role,
    change.was,
    change.would_be,
    placeOf(change.first),
  ]);
  const reasons = byRequests(report.untold_because).map(
    ({ requests: count, why, first }) => `  ${count}: ${why} (${placeOf(first)})`,
  );
  const invalidLines = report.bad_lines.map((place) => `  ${placeOf(place)}`);
  return [
    ...(rows.length === 0 ? [] : [formatTable(HEADINGS, rows), ""]),
    `${requests} requests: ${same} decided as before, ${changed} differently, ${untold} undetermined`,
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
