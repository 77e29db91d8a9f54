import type { ChainState, SealedLine } from "./chain.ts";
import { AUDIT_MARK, verifySealedLine } from "./chain.ts";

/** The result for one chain. */
export interface VerifiedChain {
  readonly instance: string;
  readonly first: number;
  readonly last: number;
  readonly hmac: string;
}

export interface BrokenLine {
  /** Both absent if no line is wrong but lines are missing. */
  readonly file?: string;
  readonly line?: number;
  readonly problem: string;
}

export type Verified =
  | { readonly ok: true; readonly chains: readonly VerifiedChain[]; readonly lines: number }
  | ({ readonly ok: false } & BrokenLine);

/** A line as read from a file. */
export interface StandingLine {
  readonly number: number;
  /** Undefined if the line is not UTF-8 or is much too long. */
  readonly text: string | undefined;
  /** Whether it ends with a line break. */
  readonly ended: boolean;
}

type LinkedLine = ChainState & Pick<SealedLine, "prev">;

/** Consecutive lines of one chain in one file. */
interface Segment {
  readonly file: string;
  readonly line: number;
  readonly first: LinkedLine;
  last: LinkedLine;
}

/** A position where a chain may begin, because the lines before it are archived. */
export interface ChainBeginning {
  readonly instance: string;
  /** The number of the first line that must exist. */
  readonly n: number;
  /** The HMAC of the previous line, if known. */
  readonly prev?: string;
}

export interface AuditVerifier {
  /** Checks the next line of a file. Returns the problem, or undefined. */
  take(file: string, line: StandingLine): BrokenLine | undefined;
  /** Call after all files were read. */
  end(): Verified;
}

/**
 * Checks the seal of each audit line, and that no line is missing, moved or duplicated. It keeps no lines in memory. One
 * file may contain chains of several instances, and one chain may span several files, given in any order. A chain begins
 * with line 1, or where a checkpoint, a line about dropped files, or `beginnings` allow it. A truncated end is only
 * detected with a checkpoint kept elsewhere.
 */
export function createAuditVerifier(
  key: string,
  checkpoints: readonly ChainState[],
  beginnings: readonly ChainBeginning[] = [],
): AuditVerifier {
  const segments = new Map<string, Segment>();
  const points = new Map(checkpoints.map((point) => [placeOf(point), point]));
  /** For each chain the highest position up to which files were dropped. */
  const dropped = new Map<string, ChainState>();
  let lines = 0;
  return {
    take(file, { number: line, text, ended }) {
      if (text !== undefined && text.trim() === "") return undefined;
      const sealed = openLine(key, text, ended);
      if (typeof sealed === "string") return { file, line, problem: sealed };
      lines++;
      for (const place of sealed.droppedTo)
        if (place.n > (dropped.get(place.instance)?.n ?? 0)) dropped.set(place.instance, place);
      const { instance, n, hmac, prev } = sealed;
      const linked = { instance, n, hmac, prev };
      const name = JSON.stringify([file, instance]);
      const segment = segments.get(name);
      const point = points.get(placeOf(sealed));
      const problem =
        (segment === undefined ? firstLineError(sealed) : sequenceError(segment.last, sealed)) ??
        (point && point.hmac !== hmac ? "is not the line that a checkpoint names" : undefined);
      if (problem !== undefined) return { file, line, problem };
      if (segment === undefined) segments.set(name, { file, line, first: linked, last: linked });
      else segment.last = linked;
      return undefined;
    },
    end() {
      if (lines === 0 && checkpoints.length === 0)
        return { ok: false, problem: "there is no audit line: if there was one, the beginning is missing" };
      const begins = { beginnings, checkpoints: points, dropped };
      const chains: VerifiedChain[] = [];
      for (const parts of Map.groupBy(segments.values(), ({ first }) => first.instance).values()) {
        const joined = join(parts, begins);
        if ("problem" in joined) return { ok: false, ...joined };
        chains.push(joined);
      }
      const cut = truncationError(chains, checkpoints, dropped);
      return cut === undefined ? { ok: true, chains, lines } : { ok: false, ...cut };
    },
  };
}

/** The reasons why a chain may begin after line 1. */
interface Beginnings {
  readonly beginnings: readonly ChainBeginning[];
  readonly checkpoints: ReadonlyMap<string, ChainState>;
  readonly dropped: ReadonlyMap<string, ChainState>;
}

/** Why a chain must not begin with this line, or undefined if it may. */
function beginningMissing(
  { instance, n, prev }: LinkedLine,
  { beginnings, checkpoints, dropped }: Beginnings,
): string | undefined {
  if (n === 1) return undefined;
  const before = placeOf({ instance, n: n - 1 });
  const place = checkpoints.get(before) ?? dropped.get(instance);
  // A file that was recorded as dropped but still exists may begin anywhere before that position.
  if (place !== undefined && (place.n > n - 1 || (place.n === n - 1 && place.hmac === prev)))
    return undefined;
  const beginning = beginnings.find((candidate) => candidate.instance === instance);
  if (
    beginning !== undefined &&
    (beginning.n > n || (beginning.n === n && (beginning.prev ?? prev) === prev))
  )
    return undefined;
  return (
    `the beginning of ${instance} is missing: its lines 1 to ${n - 1} are not in these files; give all files of the log, ` +
    `or, where earlier ones were put away, the checkpoint of their end or --from ${instance}:${n}`
  );
}

function placeOf({ instance, n }: Pick<ChainState, "instance" | "n">): string {
  return JSON.stringify([instance, n]);
}

/** The parsed line, or its problem. */
function openLine(key: string, text: string | undefined, ended: boolean): SealedLine | string {
  if (text?.includes(AUDIT_MARK) !== true) return "is no audit line";
  if (!ended)
    return "is incomplete: it is being written, or a crash has truncated it and the next start will repair it";
  return verifySealedLine(key, text) ?? "was changed, or not sealed under this AUDIT_KEY";
}

function join(parts: readonly Segment[], begins: Beginnings): VerifiedChain | BrokenLine {
  const ordered = [...parts].sort((a, b) => a.first.n - b.first.n);
  const [oldest] = ordered;
  const missing = oldest && beginningMissing(oldest.first, begins);
  if (oldest !== undefined && missing !== undefined)
    return { file: oldest.file, line: oldest.line, problem: missing };
  let before: Segment | undefined;
  for (const segment of ordered) {
    const problem = before && sequenceError(before.last, segment.first);
    if (problem !== undefined) return { file: segment.file, line: segment.line, problem };
    before = segment;
  }
  const { instance = "", n: first = 0 } = oldest?.first ?? {};
  return { instance, first, last: before?.last.n ?? 0, hmac: before?.last.hmac ?? "" };
}

/** The problem of a checkpoint whose line is missing. */
function truncationError(
  chains: readonly VerifiedChain[],
  checkpoints: readonly ChainState[],
  dropped: Beginnings["dropped"],
): BrokenLine | undefined {
  for (const { instance, n } of checkpoints) {
    const last = chains.find((chain) => chain.instance === instance)?.last ?? dropped.get(instance)?.n ?? 0;
    if (n > last)
      return {
        problem: `the end is cut off: ${instance} had ${n} lines at a checkpoint, of which ${last} are here`,
      };
  }
  return undefined;
}

/** Only line 1 has no predecessor. */
function firstLineError({ n, prev }: LinkedLine): string | undefined {
  return (n === 1) === (prev === "") ? undefined : "claims to be the first of its chain, and is not";
}

function sequenceError(last: LinkedLine, next: LinkedLine): string | undefined {
  if (next.n > last.n + 1)
    return `${next.n - last.n - 1} lines before it are missing (after number ${last.n})`;
  if (next.n <= last.n) return `stands after number ${last.n}, though it is number ${next.n}`;
  return next.prev === last.hmac ? undefined : "does not follow the line before it";
}
