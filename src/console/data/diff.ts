/** One line of a comparison. A line that is kept has both numbers. */
export interface DiffLine {
  readonly kind: "kept" | "removed" | "added";
  readonly text: string;
  /** From 1, in the old and in the new text. */
  readonly oldNumber: number | undefined;
  readonly newNumber: number | undefined;
}

/** More differences than this are shown as one block, because finding the least of them would take seconds. */
const MAX_EDITS = 500;

/** The lines of two texts, with the fewest removed and added lines (Myers, 1986). */
export function diffLines(before: string, after: string): readonly DiffLine[] {
  const [old, fresh] = [linesOf(before), linesOf(after)];
  let head = 0;
  while (head < old.length && head < fresh.length && old[head] === fresh[head]) head++;
  let tail = 0;
  while (
    tail < Math.min(old.length, fresh.length) - head &&
    old[old.length - 1 - tail] === fresh[fresh.length - 1 - tail]
  )
    tail++;
  const middle = editsOf(old.slice(head, old.length - tail), fresh.slice(head, fresh.length - tail));
  const kinds = [...Array<Kind>(head).fill("kept"), ...middle, ...Array<Kind>(tail).fill("kept")];
  let [oldAt, newAt] = [0, 0];
  return kinds.map((kind) => {
    const oldNumber = kind === "added" ? undefined : ++oldAt;
    const newNumber = kind === "removed" ? undefined : ++newAt;
    const text = (newNumber === undefined ? old[oldAt - 1] : fresh[newAt - 1]) ?? "";
    return { kind, text, oldNumber, newNumber };
  });
}

/** A part of a comparison: changes with the kept lines around them. */
export interface Hunk {
  readonly lines: readonly DiffLine[];
}

/** The changes with `context` kept lines before and after them. */
export function hunksOf(lines: readonly DiffLine[], context = 3): readonly Hunk[] {
  const hunks: DiffLine[][] = [];
  let until = -1;
  lines.forEach((line, at) => {
    if (line.kind === "kept") {
      if (at <= until) hunks.at(-1)?.push(line);
      return;
    }
    if (at > until + context + 1 || hunks.length === 0) {
      const from = Math.max(until + 1, at - context, 0);
      hunks.push([...lines.slice(from, at)]);
    } else if (at > until) hunks.at(-1)?.push(...lines.slice(until + 1, at));
    hunks.at(-1)?.push(line);
    until = at + context;
  });
  return hunks.map((found) => ({ lines: found }));
}

type Kind = DiffLine["kind"];

/** A line end at the end of the text begins no line. */
function linesOf(text: string): readonly string[] {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}

function editsOf(old: readonly string[], fresh: readonly string[]): readonly Kind[] {
  const rounds = furthestPaths(old, fresh);
  if (rounds === undefined)
    return [...Array<Kind>(old.length).fill("removed"), ...Array<Kind>(fresh.length).fill("added")];
  const kinds: Kind[] = [];
  let [x, y] = [old.length, fresh.length];
  for (let edits = rounds.length - 1; edits >= 0; edits--) {
    const reached = rounds[edits] ?? new Map<number, number>();
    const diagonal = x - y;
    const isAdded = edits > 0 && comesFromAbove(reached, diagonal, edits);
    const from = diagonal + (isAdded ? 1 : -1);
    const [fromX, fromY] = edits === 0 ? [0, 0] : [reached.get(from) ?? 0, (reached.get(from) ?? 0) - from];
    const [stepX, stepY] = edits === 0 ? [0, 0] : isAdded ? [fromX, fromY + 1] : [fromX + 1, fromY];
    for (; x > stepX && y > stepY; x--, y--) kinds.push("kept");
    if (edits > 0) kinds.push(isAdded ? "added" : "removed");
    [x, y] = [fromX, fromY];
  }
  return kinds.reverse();
}

/** For each number of edits: how far each diagonal came with one edit less. Undefined beyond {@link MAX_EDITS}. */
function furthestPaths(
  old: readonly string[],
  fresh: readonly string[],
): readonly ReadonlyMap<number, number>[] | undefined {
  const rounds: Map<number, number>[] = [];
  const reached = new Map<number, number>();
  for (let edits = 0; edits <= MAX_EDITS; edits++) {
    rounds.push(new Map(reached));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const isAdded = comesFromAbove(reached, diagonal, edits);
      let x = edits === 0 ? 0 : (reached.get(diagonal + (isAdded ? 1 : -1)) ?? 0) + (isAdded ? 0 : 1);
      while (x < old.length && x - diagonal < fresh.length && old[x] === fresh[x - diagonal]) x++;
      reached.set(diagonal, x);
      if (x >= old.length && x - diagonal >= fresh.length) return rounds;
    }
  }
  return undefined;
}

/** Whether the furthest path to a diagonal adds a line, instead of removing one. */
function comesFromAbove(reached: ReadonlyMap<number, number>, diagonal: number, edits: number): boolean {
  if (diagonal === -edits) return true;
  return diagonal !== edits && (reached.get(diagonal - 1) ?? 0) < (reached.get(diagonal + 1) ?? 0);
}
