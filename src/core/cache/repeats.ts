import { placeOf } from "./memoize.ts";

/**
 * Whether an object was used before. A cache that keeps only such objects does no work for those that are used once. Each object
 * has one place and replaces the previous one, so that an object that shares its place with another one may count as new.
 * @param places a power of two
 * @param textOf a text that differs between most objects
 */
export function createRepeats<Used extends object>(
  places: number,
  textOf: (used: Used) => string,
): (used: Used) => boolean {
  const last: (Used | undefined)[] = new Array(places).fill(undefined);
  return (used) => {
    const place = placeOf(textOf(used)) & (places - 1);
    if (last[place] === used) return true;
    last[place] = used;
    return false;
  };
}
