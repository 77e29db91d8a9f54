/** Of the name of a key. */
export const MAX_KEY_NAME_CHARACTERS = 128;

/** Counts a character beyond the Basic Multilingual Plane once, although it has two UTF-16 code units. */
export function hasAtMostCharacters(text: string, max: number): boolean {
  return text.length <= max || [...text].length <= max;
}
