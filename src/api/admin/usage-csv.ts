import type { z } from "zod";
import { csvLine } from "../http/csv.ts";
import type { usageReportResponse } from "./usage-schemas.ts";

type Row = Readonly<z.output<typeof usageReportResponse>["usage"][number]>;

/** The line of column names of CSV, without its end. */
export const USAGE_CSV_HEAD = "owner,family,time,route,allowed,denied,limited,cost,units";

/** A row as a line of CSV (RFC 4180), without its end. */
export function usageCsvLine({ owner, family, time, route, units, ...counts }: Row): string {
  const { allowed, denied, limited, cost } = counts;
  const cells = [
    ...[owner, family, time ?? "", route ?? ""],
    ...[allowed, denied, limited, cost ?? ""].map(String),
    Object.entries(units ?? {})
      .map(([unit, amount]) => `${unit}=${amount}`)
      .join(" "),
  ];
  return csvLine(cells);
}
