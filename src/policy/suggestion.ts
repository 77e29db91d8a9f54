/** Returns `, did you mean "x"?` for the closest known word, or an empty string if no word is close. */
export function didYouMean(written: string, known: Iterable<string>): string {
  let nearest: string | undefined;
  // Up to a third of the letters may differ. With more it is a different word.
  let least = Math.floor((written.length + 1) / 3) + 1;
  for (const word of known) {
    // The distance is at least the difference of the lengths, and a file may contain a name of a megabyte.
    if (Math.abs(written.length - word.length) >= least) continue;
    const distance = editDistance(written, word);
    if (distance < least) [nearest, least] = [word, distance];
  }
  return nearest === undefined ? "" : `, did you mean "${nearest}"?`;
}

/** Insertions, deletions and replacements that turn one word into the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...to].entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
