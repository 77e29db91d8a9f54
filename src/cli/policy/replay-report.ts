import type { Outcome, PastRequest, Replayed } from "../../audit/replay.ts";
import { formatTable } from "../table.ts";

/** Maximum number of groups in a report. Roles and routes are few, but a log may contain any text. */
const MAX_GROUPS = 1000;
/** Maximum number of invalid lines that are listed. All of them are counted. */
const MAX_LISTED_LINES = 20;

export interface Place {
  readonly file: string;
  readonly line: number;
}

/** Requests of one route and role whose decision changes in the same way. */
interface Change {
  readonly route: string;
  readonly role: string;
  readonly was: Outcome;
  readonly would_be: Outcome;
  readonly first: Place;
  requests: number;
}

/** Requests whose new decision cannot be determined, for one reason. */
interface Undetermined {
  readonly why: string;
  readonly first: Place;
  requests: number;
}

export interface Report {
  lines: number;
  requests: number;
  same: number;
  changed: number;
  untold: number;
  /** Requests without a line, because the queue of the audit log was full. Gap lines count them. */
  missing: number;
  bad: number;
  /** Whether these files have an allowed request. With `audit.requests: denials` they have none. */
  allowed_seen: boolean;
  readonly changes: Map<string, Change>;
  readonly untold_because: Map<string, Undetermined>;
  /** The first invalid lines. */
  readonly bad_lines: Place[];
}

export function emptyReport(): Report {
  return {
    lines: 0,
    requests: 0,
    same: 0,
    changed: 0,
    untold: 0,
    missing: 0,
    bad: 0,
    allowed_seen: false,
    changes: new Map(),
    untold_because: new Map(),
    bad_lines: [],
  };
}

export function countInvalidLine(report: Report, place: Place): void {
  report.bad++;
  if (report.bad_lines.length < MAX_LISTED_LINES) report.bad_lines.push(place);
}

export function countRequest(report: Report, past: PastRequest, replayed: Replayed, first: Place): void {
  report.requests++;
  if (past.reason === "allowed") report.allowed_seen = true;
  if (!replayed.determined) {
    report.untold++;
    const { why } = replayed;
    groupOf(report.untold_because, why, () => ({ why, first, requests: 0 })).requests++;
  } else if (replayed.was === replayed.wouldBe) {
    report.same++;
  } else {
    report.changed++;
    changeOf(report, past.role ?? "none", replayed, first).requests++;
  }
}

function changeOf(
  { changes }: Report,
  role: string,
  { route, was, wouldBe }: Extract<Replayed, { determined: true }>,
  first: Place,
): Change {
  const key = JSON.stringify([route, role, was, wouldBe]);
  if (changes.has(key) || changes.size < MAX_GROUPS)
    return groupOf(changes, key, () => ({ route, role, was, would_be: wouldBe, first, requests: 0 }));
  const other = { route: "other", role: "other", was, would_be: wouldBe, first, requests: 0 };
  return groupOf(changes, JSON.stringify(["other", "other", was, wouldBe]), () => other);
}

function groupOf<T>(groups: Map<string, T>, key: string, create: () => T): T {
  const found = groups.get(key) ?? create();
  groups.set(key, found);
  return found;
}

export function reportAsJson({ changes, untold_because: untold, ...counts }: Report) {
  return {
    ...counts,
    changes: byRequests(changes),
    untold_because: byRequests(untold),
    unseen: limitations(counts),
  };
}

/** The groups, starting with the one that has the most requests. */
function byRequests<T extends { readonly requests: number }>(groups: ReadonlyMap<string, T>): readonly T[] {
  return [...groups.values()].sort((a, b) => b.requests - a.requests);
}

/** The facts that the log does not contain, so that the report is not overrated. */
function limitations({
  requests,
  missing,
  allowed_seen: allowedSeen,
}: Pick<Report, "requests" | "missing" | "allowed_seen">) {
  return [
    "rate limits are not replayed: a request that passes all other checks counts as allowed",
    "keys count as valid or ended as known then, and as sent where this policy expects them; the phases of V1 keys are those of then",
    "`;params` that were stripped from paths then are not in the log",
    ...(missing > 0 ? [`${missing} requests left no line, because the queue of the audit log was full`] : []),
    ...(requests > 0 && !allowedSeen
      ? ["no request here was allowed: with audit.requests: denials, allowed requests leave no line"]
      : []),
  ];
}

export function formatReport(report: Report): string {
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
