import type { UsageRow } from "../../core/usage/usage-report.ts";
import { formatTime } from "../keys/responses.ts";

const COLUMNS = ["owner", "family", "time", "route", "allowed", "denied", "limited", "cost", "units"];

/** Rows as CSV (RFC 4180). Each page has the line of column names. */
export function usageCsv(rows: readonly UsageRow[]): string {
  return [COLUMNS, ...rows.map(cellsOf)].map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
}

function cellsOf({ owner, family, startsAt, route, requests, cost, units }: UsageRow): readonly string[] {
  return [
    owner,
    family,
    startsAt === undefined ? "" : formatTime(startsAt),
    route ?? "",
    ...[requests.allowed, requests.denied, requests.limited].map(String),
    cost === undefined ? "" : String(cost),
    [...(units ?? [])].map(([unit, amount]) => `${unit}=${amount}`).join(" "),
  ];
}

/** A spreadsheet runs a cell that begins with one of these as a formula, so an apostrophe comes first. */
const FORMULA = /^[=+\-@\t\r\n]/;

function cell(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
