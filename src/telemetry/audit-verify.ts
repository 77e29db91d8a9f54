import type { SealedLine } from "./audit-chain.ts";
import { AUDIT_MARK, openSealed } from "./audit-chain.ts";

/** What became of a chain's lines in some files. */
export interface VerifiedChain {
  readonly instance: string;
  readonly first: number;
  readonly last: number;
  readonly hmac: string;
}

export type Verified =
  | { readonly ok: true; readonly chains: readonly VerifiedChain[]; readonly lines: number }
  | { readonly ok: false; readonly file: string; readonly line: number; readonly why: string };

interface Segment {
  readonly file: string;
  readonly lines: readonly { readonly line: number; readonly sealed: SealedLine }[];
}

/**
 * Checks files of audit lines: each line's seal, and that nothing is missing, moved or doubled between them. Several
 * instances may have written one file, one may have written several, given in any order. What was cut off at the end
 * shows only against a checkpoint kept elsewhere.
 */
export function verifyAudit(
  files: readonly { readonly name: string; readonly text: string }[],
  key: string,
): Verified {
  const segments = new Map<string, Segment[]>();
  let count = 0;
  for (const { name, text } of files) {
    const mine = new Map<string, { line: number; sealed: SealedLine }[]>();
    for (const [index, line] of text.split("\n").entries()) {
      if (!line.includes(AUDIT_MARK)) {
        if (line.trim() === "") continue;
        return { ok: false, file: name, line: index + 1, why: "is no audit line" };
      }
      const sealed = openSealed(key, line);
      if (sealed === undefined)
        return {
          ok: false,
          file: name,
          line: index + 1,
          why: "was changed, or not sealed under this AUDIT_KEY",
        };
      count++;
      const list = mine.get(sealed.instance) ?? [];
      list.push({ line: index + 1, sealed });
      mine.set(sealed.instance, list);
    }
    for (const [instance, lines] of mine)
      segments.set(instance, [...(segments.get(instance) ?? []), { file: name, lines }]);
  }
  const chains: VerifiedChain[] = [];
  for (const [instance, parts] of segments) {
    const followed = follow(instance, parts);
    if ("why" in followed) return { ok: false, ...followed };
    chains.push(followed);
  }
  return { ok: true, chains, lines: count };
}

type Broken = Omit<Extract<Verified, { ok: false }>, "ok">;

function follow(instance: string, parts: readonly Segment[]): VerifiedChain | Broken {
  const ordered = [...parts].sort((a, b) => numberOf(a) - numberOf(b));
  let last: SealedLine | undefined;
  for (const { file, lines } of ordered) {
    for (const { line, sealed } of lines) {
      const why = last === undefined ? beginsWrong(sealed) : whyNotNext(last, sealed);
      if (why !== undefined) return { file, line, why };
      last = sealed;
    }
  }
  const first = ordered[0] === undefined ? 0 : numberOf(ordered[0]);
  return { instance, first, last: last?.n ?? 0, hmac: last?.hmac ?? "" };
}

function numberOf({ lines }: Segment): number {
  return lines[0]?.sealed.n ?? 0;
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
