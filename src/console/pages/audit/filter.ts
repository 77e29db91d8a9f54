import type { AuditExportFilter } from "../../../client/audit-calls.ts";

/** The filter of the page as the URL has it. Times are local: `2027-01-15T12:00`. */
export type FilterValues = Readonly<Record<FilterField, string>>;

export type FilterField = keyof AuditExportFilter;

export const NO_FILTER: FilterValues = {
  actor: "",
  event: "",
  key_id: "",
  family: "",
  owner: "",
  role: "",
  outcome: "",
  from: "",
  to: "",
};

export function filterValues(query: URLSearchParams): FilterValues {
  const values = Object.keys(NO_FILTER).map((field) => [field, query.get(field) ?? ""] as const);
  return { ...NO_FILTER, ...Object.fromEntries(values) };
}

/** What the API understands. */
export function toFilter({ outcome, from, to, ...fields }: FilterValues): AuditExportFilter {
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
  const [fromTime, toTime] = [utcOf(from), utcOf(to)];
  return {
    ...given,
    ...((outcome === "done" || outcome === "refused") && { outcome }),
    ...(fromTime !== undefined && { from: fromTime }),
    ...(toTime !== undefined && { to: toTime }),
  };
}

export function isFiltered(values: FilterValues): boolean {
  return Object.values(values).some((value) => value !== "");
}

function utcOf(local: string): string | undefined {
  const ms = Date.parse(local);
  return local === "" || Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}
