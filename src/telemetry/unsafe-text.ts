// What terminals act on and what some readers take for the end of a line, beyond what JSON escapes.
const UNSAFE = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** JSON text without a character that a terminal acts on; it means the same. */
export function escapeUnsafe(json: string): string {
  return json.replace(UNSAFE, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
