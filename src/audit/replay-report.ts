import type { Outcome, PastRequest, Replayed } from "./replay.ts";

/** Maximum number of groups in a report. Roles and routes are few, but a log may contain any text. */
const MAX_GROUPS = 1000;
/** Maximum number of invalid lines that are listed. All of them are counted. */
const MAX_LISTED_LINES = 20;

/** Requests of one route and role whose decision changes in the same way. */
export interface Change<Place> {
  readonly route: string;
  readonly role: string;
  readonly was: Outcome;
  readonly would_be: Outcome;
  readonly first: Place;
  requests: number;
}

/** Requests whose new decision cannot be determined, for one reason. */
export interface Undetermined<Place> {
  readonly why: string;
  readonly first: Place;
  requests: number;
}

/** `Place` says where a line is: in which file, or at which time. */
export interface Report<Place> {
  lines: number;
  requests: number;
  same: number;
  changed: number;
  undetermined: number;
  /** Requests without a line, because the queue of the audit log was full. Gap lines count them. */
  missing: number;
  bad: number;
  /** Whether these files have an allowed request. With `audit.requests: denials` they have none. */
  allowed_seen: boolean;
  readonly changes: Map<string, Change<Place>>;
  readonly undetermined_because: Map<string, Undetermined<Place>>;
  /** The first invalid lines. */
  readonly bad_lines: Place[];
}

export function emptyReport<Place>(): Report<Place> {
  return {
    lines: 0,
    requests: 0,
    same: 0,
    changed: 0,
    undetermined: 0,
    missing: 0,
    bad: 0,
    allowed_seen: false,
    changes: new Map(),
    undetermined_because: new Map(),
    bad_lines: [],
  };
}

export function countInvalidLine<Place>(report: Report<Place>, place: Place): void {
  report.bad++;
  if (report.bad_lines.length < MAX_LISTED_LINES) report.bad_lines.push(place);
}

export function countRequest<Place>(
  report: Report<Place>,
  past: PastRequest,
  replayed: Replayed,
  first: Place,
): void {
  report.requests++;
  if (past.reason === "allowed") report.allowed_seen = true;
  if (!replayed.determined) {
    report.undetermined++;
    const { why } = replayed;
    groupOf(report.undetermined_because, why, () => ({ why, first, requests: 0 })).requests++;
  } else if (replayed.was === replayed.wouldBe) {
    report.same++;
  } else {
    report.changed++;
    changeOf(report, past.role ?? "none", replayed, first).requests++;
  }
}

function changeOf<Place>(
  { changes }: Report<Place>,
  role: string,
  { route, was, wouldBe }: Extract<Replayed, { determined: true }>,
  first: Place,
): Change<Place> {
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

export function reportBody<Place>({ changes, undetermined_because: because, ...counts }: Report<Place>) {
  return {
    ...counts,
    changes: byRequests(changes),
    undetermined_because: byRequests(because),
    unseen: limitations(counts),
  };
}

/** The groups, starting with the one that has the most requests. */
export function byRequests<T extends { readonly requests: number }>(
  groups: ReadonlyMap<string, T>,
): readonly T[] {
  return [...groups.values()].sort((a, b) => b.requests - a.requests);
}

/** The facts that the log does not contain, so that the report is not overrated. */
export function limitations<Place>({
  requests,
  missing,
  allowed_seen: allowedSeen,
}: Pick<Report<Place>, "requests" | "missing" | "allowed_seen">) {
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
