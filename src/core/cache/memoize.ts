/** Longer texts are not kept, because clients choose them and could fill the memory. */
const MAX_KEPT_CHARACTERS = 512;

/**
 * Memoizes a pure function of texts. Each text has one place and overwrites its previous text. A client that sends texts with the
 * same place only makes them slower.
 * @param places the number of results to keep, a power of two
 */
export function memoize<Result>(places: number, work: (text: string) => Result): (text: string) => Result {
  const texts: (string | undefined)[] = new Array(places).fill(undefined);
  const results: (Result | undefined)[] = new Array(places).fill(undefined);
  return (text) => {
    const place = placeOf(text) & (places - 1);
    const known = texts[place] === text ? results[place] : undefined;
    if (known !== undefined) return known;
    if (text.length > MAX_KEPT_CHARACTERS) return work(text);
    const kept = standalone(text);
    const result = work(kept);
    texts[place] = kept;
    results[place] = result;
    return result;
  };
}

/** A hash of a few characters, mainly the last ones, where keys, paths and names differ. */
export function placeOf(text: string): number {
  const end = text.length;
  if (end < 3) return end;
  return (
    (end * 31 + text.charCodeAt(end - 1)) * 31 +
    text.charCodeAt(end - 2) * 17 +
    text.charCodeAt((end * 3) >> 2) * 7 +
    text.charCodeAt(end >> 1)
  );
}

/** A copy of the text in its own memory: a slice would keep the longer text alive. */
function standalone(text: string): string {
  return ` ${text}`.slice(1);
}
