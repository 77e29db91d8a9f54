import type { ChainState, SealedLine } from "./audit-chain.ts";
import { AUDIT_MARK, openSealed } from "./audit-chain.ts";

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

/** Lines of one chain in one file, which follow each other. */
interface Segment {
  readonly file: string;
  readonly line: number;
  readonly first: SealedLine;
  last: SealedLine;
}

export interface AuditVerifier {
  /** The next line of a file: what is wrong with it, if anything. */
  take(file: string, line: StandingLine): BrokenLine | undefined;
  /** Once all files have been read. */
  end(): Verified;
}

/**
 * Checks audit lines, of which it keeps none: each line's seal, and that nothing is missing, moved or doubled between
 * them. Several instances may have written one file, one may have written several, given in any order. What was cut
 * off at the end shows only against checkpoints kept elsewhere.
 */
export function createAuditVerifier(key: string, checkpoints: readonly ChainState[]): AuditVerifier {
  const segments = new Map<string, Segment>();
  const points = new Map(checkpoints.map((point) => [placeOf(point), point]));
  let lines = 0;
  return {
    take(file, { number: line, text, ended }) {
      if (text !== undefined && text.trim() === "") return undefined;
      const sealed = openLine(key, text, ended);
      if (typeof sealed === "string") return { file, line, why: sealed };
      lines++;
      const name = JSON.stringify([file, sealed.instance]);
      const segment = segments.get(name);
      const point = points.get(placeOf(sealed));
      const why =
        (segment === undefined ? beginsWrong(sealed) : whyNotNext(segment.last, sealed)) ??
        (point && point.hmac !== sealed.hmac ? "is not the line that a checkpoint tells of" : undefined);
      if (why !== undefined) return { file, line, why };
      if (segment === undefined) segments.set(name, { file, line, first: sealed, last: sealed });
      else segment.last = sealed;
      return undefined;
    },
    end() {
      const chains: VerifiedChain[] = [];
      for (const parts of Map.groupBy(segments.values(), ({ first }) => first.instance).values()) {
        const joined = join(parts);
        if ("why" in joined) return { ok: false, ...joined };
        chains.push(joined);
      }
      const cut = whatIsCut(chains, checkpoints);
      return cut === undefined ? { ok: true, chains, lines } : { ok: false, ...cut };
    },
  };
}

function placeOf({ instance, n }: Pick<ChainState, "instance" | "n">): string {
  return JSON.stringify([instance, n]);
}

/** The line, or what is wrong with it. */
function openLine(key: string, text: string | undefined, ended: boolean): SealedLine | string {
  if (text?.includes(AUDIT_MARK) !== true) return "is no audit line";
  if (!ended)
    return "is not whole: it is being written, or a crash has cut it and no start has mended it yet";
  return openSealed(key, text) ?? "was changed, or not sealed under this AUDIT_KEY";
}

function join(parts: readonly Segment[]): VerifiedChain | BrokenLine {
  const ordered = [...parts].sort((a, b) => a.first.n - b.first.n);
  let before: Segment | undefined;
  for (const segment of ordered) {
    const why = before && whyNotNext(before.last, segment.first);
    if (why !== undefined) return { file: segment.file, line: segment.line, why };
    before = segment;
  }
  const { instance = "", n: first = 0 } = ordered[0]?.first ?? {};
  return { instance, first, last: before?.last.n ?? 0, hmac: before?.last.hmac ?? "" };
}

/** A checkpoint of a line that should be there, and is not. Lines before the first may be in files put away. */
function whatIsCut(
  chains: readonly VerifiedChain[],
  checkpoints: readonly ChainState[],
): BrokenLine | undefined {
  for (const { instance, n } of checkpoints) {
    const last = chains.find((chain) => chain.instance === instance)?.last ?? 0;
    if (n > last)
      return {
        why: `the end is cut off: ${instance} had ${n} lines at a checkpoint, of which ${last} are here`,
      };
  }
  return undefined;
}

/** Earlier lines may be in files that were put away; only the very first line has no predecessor. */
function beginsWrong({ n, prev }: SealedLine): string | undefined {
  return (n === 1) === (prev === "") ? undefined : "claims to be the first of its chain, and is not";
}

function whyNotNext(last: SealedLine, next: SealedLine): string | undefined {
  if (next.n > last.n + 1)
    return `${next.n - last.n - 1} lines before it are missing (after number ${last.n})`;
  if (next.n <= last.n) return `stands after number ${last.n}, though it is number ${next.n}`;
  return next.prev === last.hmac ? undefined : "does not follow the line before it";
}
