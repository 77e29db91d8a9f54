// What terminals act on, what cannot be seen, and what some readers take for the end of a line, beyond what JSON escapes.
const UNSAFE = /[\u007f-\u009f\p{Cf}\u2028\u2029]/gu;

/** JSON text without a character that a terminal acts on; it means the same. */
export function escapeUnsafe(json: string): string {
  return json.replace(UNSAFE, (character) => {
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
  });
}
