import type { ChainState, SealedLine } from "./chain.ts";
import { AUDIT_MARK, verifySealedLine } from "./chain.ts";

/** What became of a chain's lines in some files. */
export interface VerifiedChain {
  readonly instance: string;
  readonly first: number;
  readonly last: number;
  readonly hmac: string;
}

export interface BrokenLine {
  /** Both absent where no line is wrong, but some are not there. */
  readonly file?: string;
  readonly line?: number;
  readonly why: string;
}

export type Verified =
  | { readonly ok: true; readonly chains: readonly VerifiedChain[]; readonly lines: number }
  | ({ readonly ok: false } & BrokenLine);

/** A line as it stands in a file. */
export interface StandingLine {
  readonly number: number;
  /** Undefined: no text, or far too long. */
  readonly text: string | undefined;
  /** Whether a line break ends it. */
  readonly ended: boolean;
}

type LinkedLine = ChainState & Pick<SealedLine, "prev">;

/** Lines of one chain in one file, which follow each other. */
interface Segment {
  readonly file: string;
  readonly line: number;
  readonly first: LinkedLine;
  last: LinkedLine;
}

/** Where a chain may begin, for someone who has put what was before elsewhere. */
export interface ChainBeginning {
  readonly instance: string;
  /** Number of the first line that must be there. */
  readonly n: number;
  /** HMAC of the line before it, where that is known. */
  readonly prev?: string;
}

export interface AuditVerifier {
  /** The next line of a file: what is wrong with it, if anything. */
  take(file: string, line: StandingLine): BrokenLine | undefined;
  /** Once all files have been read. */
  end(): Verified;
}

/**
 * Checks audit lines, of which it keeps none: each line's seal, and that nothing is missing, moved or doubled between
 * them. Several instances may have written one file, one may have written several, given in any order. A chain begins with
 * its first line, or where a checkpoint, a line of the log about dropped files, or `beginnings` say that it may. What was cut
 * off at the end shows only against checkpoints kept elsewhere.
 */
export function createAuditVerifier(
  key: string,
  checkpoints: readonly ChainState[],
  beginnings: readonly ChainBeginning[] = [],
): AuditVerifier {
  const segments = new Map<string, Segment>();
  const points = new Map(checkpoints.map((point) => [placeOf(point), point]));
  /** Of each chain the furthest place up to which files were dropped. */
  const dropped = new Map<string, ChainState>();
  let lines = 0;
  return {
    take(file, { number: line, text, ended }) {
      if (text !== undefined && text.trim() === "") return undefined;
      const sealed = openLine(key, text, ended);
      if (typeof sealed === "string") return { file, line, why: sealed };
      lines++;
      for (const place of sealed.droppedTo)
        if (place.n > (dropped.get(place.instance)?.n ?? 0)) dropped.set(place.instance, place);
      const { instance, n, hmac, prev } = sealed;
      const linked = { instance, n, hmac, prev };
      const name = JSON.stringify([file, instance]);
      const segment = segments.get(name);
      const point = points.get(placeOf(sealed));
      const why =
        (segment === undefined ? firstLineError(sealed) : sequenceError(segment.last, sealed)) ??
        (point && point.hmac !== hmac ? "is not the line that a checkpoint tells of" : undefined);
      if (why !== undefined) return { file, line, why };
      if (segment === undefined) segments.set(name, { file, line, first: linked, last: linked });
      else segment.last = linked;
      return undefined;
    },
    end() {
      if (lines === 0 && checkpoints.length === 0)
        return { ok: false, why: "there is no audit line: if there was one, the beginning is missing" };
      const begins = { beginnings, checkpoints: points, dropped };
      const chains: VerifiedChain[] = [];
      for (const parts of Map.groupBy(segments.values(), ({ first }) => first.instance).values()) {
        const joined = join(parts, begins);
        if ("why" in joined) return { ok: false, ...joined };
        chains.push(joined);
      }
      const cut = truncationError(chains, checkpoints, dropped);
      return cut === undefined ? { ok: true, chains, lines } : { ok: false, ...cut };
    },
  };
}

/** What says that a chain may begin after its first line. */
interface Beginnings {
  readonly beginnings: readonly ChainBeginning[];
  readonly checkpoints: ReadonlyMap<string, ChainState>;
  readonly dropped: ReadonlyMap<string, ChainState>;
}

/** Why a chain may not begin with this line; undefined where it may. */
function beginningMissing(
  { instance, n, prev }: LinkedLine,
  { beginnings, checkpoints, dropped }: Beginnings,
): string | undefined {
  if (n === 1) return undefined;
  const before = placeOf({ instance, n: n - 1 });
  const place = checkpoints.get(before) ?? dropped.get(instance);
  // A file whose dropping was told, and which is still there, may begin anywhere before that place.
  if (place !== undefined && (place.n > n - 1 || (place.n === n - 1 && place.hmac === prev)))
    return undefined;
  const told = beginnings.find((beginning) => beginning.instance === instance);
  if (told !== undefined && (told.n > n || (told.n === n && (told.prev ?? prev) === prev))) return undefined;
  return (
    `the beginning of ${instance} is missing: its lines 1 to ${n - 1} are not in these files; give all files of the log, ` +
    `or, where earlier ones were put away, the checkpoint of their end or --from ${instance}:${n}`
  );
}

function placeOf({ instance, n }: Pick<ChainState, "instance" | "n">): string {
  return JSON.stringify([instance, n]);
}

/** The line, or what is wrong with it. */
function openLine(key: string, text: string | undefined, ended: boolean): SealedLine | string {
  if (text?.includes(AUDIT_MARK) !== true) return "is no audit line";
  if (!ended)
    return "is not whole: it is being written, or a crash has cut it and no start has mended it yet";
  return verifySealedLine(key, text) ?? "was changed, or not sealed under this AUDIT_KEY";
}

function join(parts: readonly Segment[], begins: Beginnings): VerifiedChain | BrokenLine {
  const ordered = [...parts].sort((a, b) => a.first.n - b.first.n);
  const [oldest] = ordered;
  const missing = oldest && beginningMissing(oldest.first, begins);
  if (oldest !== undefined && missing !== undefined)
    return { file: oldest.file, line: oldest.line, why: missing };
  let before: Segment | undefined;
  for (const segment of ordered) {
    const why = before && sequenceError(before.last, segment.first);
    if (why !== undefined) return { file: segment.file, line: segment.line, why };
    before = segment;
  }
  const { instance = "", n: first = 0 } = oldest?.first ?? {};
  return { instance, first, last: before?.last.n ?? 0, hmac: before?.last.hmac ?? "" };
}

/** A checkpoint of a line that should be there, and is not. */
function truncationError(
  chains: readonly VerifiedChain[],
  checkpoints: readonly ChainState[],
  dropped: Beginnings["dropped"],
): BrokenLine | undefined {
  for (const { instance, n } of checkpoints) {
    const last = chains.find((chain) => chain.instance === instance)?.last ?? dropped.get(instance)?.n ?? 0;
    if (n > last)
      return {
        why: `the end is cut off: ${instance} had ${n} lines at a checkpoint, of which ${last} are here`,
      };
  }
  return undefined;
}

/** Only the very first line has no predecessor. */
function firstLineError({ n, prev }: LinkedLine): string | undefined {
  return (n === 1) === (prev === "") ? undefined : "claims to be the first of its chain, and is not";
}

function sequenceError(last: LinkedLine, next: LinkedLine): string | undefined {
  if (next.n > last.n + 1)
    return `${next.n - last.n - 1} lines before it are missing (after number ${last.n})`;
  if (next.n <= last.n) return `stands after number ${last.n}, though it is number ${next.n}`;
  return next.prev === last.hmac ? undefined : "does not follow the line before it";
}
