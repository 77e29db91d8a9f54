import { placeOf } from "./memoize.ts";

/** As many as the caches of keys have entries. */
const PLACES = 4096;

/**
 * Whether an object was used before. A cache that keeps only such objects does no work for those that are used once. Each object
 * has one place and replaces the previous one, so that an object that shares its place with another one may count as new.
 * @param textOf a text that differs between most objects
 * @param places a power of two
 */
export function createRepeats<Used extends object>(
  textOf: (used: Used) => string,
  places = PLACES,
): (used: Used) => boolean {
  const last: (Used | undefined)[] = new Array(places).fill(undefined);
  return (used) => {
    const place = placeOf(textOf(used)) & (places - 1);
    if (last[place] === used) return true;
    last[place] = used;
    return false;
  };
}
