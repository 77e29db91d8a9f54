/** Longer texts are worked out each time: what clients choose must not fill the memory. */
const MAX_KEPT_CHARACTERS = 512;

/**
 * A pure function of texts that come again and again, with the results of late ones. Each text has one of the places
 * (a power of two) and takes it over: who sends texts that share a place makes them slower, and nothing else.
 */
export function memoize<Result>(places: number, work: (text: string) => Result): (text: string) => Result {
  const texts: (string | undefined)[] = new Array(places).fill(undefined);
  const results: (Result | undefined)[] = new Array(places).fill(undefined);
  return (text) => {
    const place = placeOf(text) & (places - 1);
    if (texts[place] === text) {
      const known = results[place];
      if (known !== undefined) return known;
    }
    if (text.length > MAX_KEPT_CHARACTERS) return work(text);
    const kept = standalone(text);
    const result = work(kept);
    texts[place] = kept;
    results[place] = result;
    return result;
  };
}

/** From a few characters, the last ones above all: keys, paths and names differ there. */
function placeOf(text: string): number {
  const end = text.length;
  if (end < 3) return end;
  return (
    (end * 31 + text.charCodeAt(end - 1)) * 31 +
    text.charCodeAt(end - 2) * 17 +
    text.charCodeAt((end * 3) >> 2) * 7 +
    text.charCodeAt(end >> 1)
  );
}

/** The same text in memory of its own: a piece of a longer one would keep all of that. */
function standalone(text: string): string {
  return ` ${text}`.slice(1);
}
