import type { Outcome, PastRequest, Replayed } from "../../audit/replay.ts";
import { formatTable } from "../table.ts";

/** Groups that a report keeps; roles and routes are few, but a log may hold anything. */
const MAX_GROUPS = 1000;
/** Bad lines that are told by number; all are counted. */
const MAX_TOLD = 20;

export interface Place {
  readonly file: string;
  readonly line: number;
}

/** Requests with one fate. */
interface Change {
  readonly route: string;
  readonly role: string;
  readonly was: Outcome;
  readonly would_be: Outcome;
  readonly first: Place;
  requests: number;
}

interface Untold {
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
  /** Requests that left no line when there was no room: gap lines say so. */
  missing: number;
  bad: number;
  /** Whether a request was let through in these files: with `audit.requests: denials` none is there. */
  allowed_seen: boolean;
  readonly changes: Map<string, Change>;
  readonly untold_because: Map<string, Untold>;
  /** The first ones. */
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

export function countBad(report: Report, place: Place): void {
  report.bad++;
  if (report.bad_lines.length < MAX_TOLD) report.bad_lines.push(place);
}

export function countRequest(report: Report, past: PastRequest, replayed: Replayed, first: Place): void {
  report.requests++;
  if (past.reason === "allowed") report.allowed_seen = true;
  if (!replayed.determined) {
    report.untold++;
    const { why } = replayed;
    known(report.untold_because, why, () => ({ why, first, requests: 0 })).requests++;
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
    return known(changes, key, () => ({ route, role, was, would_be: wouldBe, first, requests: 0 }));
  const other = { route: "other", role: "other", was, would_be: wouldBe, first, requests: 0 };
  return known(changes, JSON.stringify(["other", "other", was, wouldBe]), () => other);
}

function known<T>(groups: Map<string, T>, key: string, make: () => T): T {
  const found = groups.get(key) ?? make();
  groups.set(key, found);
  return found;
}

export function reportAsJson({ changes, untold_because: untold, ...counts }: Report) {
  return {
    ...counts,
    changes: mostFirst(changes),
    untold_because: mostFirst(untold),
    unseen: unseen(counts),
  };
}

function mostFirst<T extends { readonly requests: number }>(groups: ReadonlyMap<string, T>): readonly T[] {
  return [...groups.values()].sort((a, b) => b.requests - a.requests);
}

/** What no line tells, so that nobody takes the report for more than it is. */
function unseen({
  requests,
  missing,
  allowed_seen: allowedSeen,
}: Pick<Report, "requests" | "missing" | "allowed_seen">) {
  return [
    "rate limits are not replayed: what passes all else counts as allowed",
    "keys count as good or ended as was known then, and as sent where this policy looks for them; phases of V1 keys as they were",
    "`;params` that were stripped from paths then are not in the log",
    ...(missing > 0 ? [`${missing} requests left no line, for there was no room`] : []),
    ...(requests > 0 && !allowedSeen
      ? ["no request here was allowed: with audit.requests: denials those leave no line"]
      : []),
  ];
}

export function formatReport(report: Report): string {
  const { requests, same, changed, untold, bad } = report;
  const rows = mostFirst(report.changes).map((change) => [
    String(change.requests),
    change.route,
    change.role,
    change.was,
    change.would_be,
    placeOf(change.first),
  ]);
  const because = mostFirst(report.untold_because).map(
    ({ requests: count, why, first }) => `  ${count}: ${why} (${placeOf(first)})`,
  );
  const badLines = report.bad_lines.map((place) => `  ${placeOf(place)}`);
  return [
    ...(rows.length === 0 ? [] : [formatTable(HEADINGS, rows), ""]),
    `${requests} requests: ${same} decided as before, ${changed} otherwise, ${untold} cannot be told`,
    ...because,
    ...(bad === 0 ? [] : [`${bad} bad lines, not looked at:`, ...badLines]),
    ...(bad > badLines.length ? ["  and more"] : []),
    ...unseen(report).map((text) => `- ${text}`),
  ].join("\n");
}

const HEADINGS = ["requests", "route", "role", "was", "would be", "first"];

function placeOf({ file, line }: Place): string {
  return `${file}:${line}`;
}
