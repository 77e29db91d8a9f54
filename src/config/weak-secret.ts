/** Words from examples, tutorials and leaked lists. A secret made of them is weak. */
const WELL_KNOWN = [
  "secret",
  "password",
  "passwd",
  "changeme",
  "change-me",
  "change_me",
  "changethis",
  "default",
  "example",
  "test",
  "testing",
  "admin",
  "token",
  "jwt",
  "key",
  "apikey",
  "api-key",
  "api_key",
  "latchkey",
  "blyan",
  "your",
  "my",
  "super",
  "very",
  "development",
  "production",
  "dev",
  "prod",
  "letmein",
  "qwerty",
  "foobar",
  "foo",
  "bar",
  "baz",
  "hello",
  "world",
  "supersecret",
  "insecure",
  "please",
  "replace",
  "this",
  "with",
  "the",
  "in",
  "value",
  "string",
];

const SEQUENCES = ["abcdefghijklmnopqrstuvwxyz", "0123456789", "qwertyuiopasdfghjklzxcvbnm"];

/** Why a secret is weak although it is long enough; undefined if it is not. */
export function weakness(secret: string): string | undefined {
  const text = secret.toLowerCase();
  if (text.trim() === "") return "is blank";
  if (/^(.{1,8})\1+.{0,7}$/s.test(text)) return "repeats itself";
  const letters = text.replace(/[^a-z]+/g, "");
  if (letters !== "" && withoutWords(text) === "") return "is made of well-known words";
  if (
    SEQUENCES.some((sequence) => isWalk(text, sequence) || (letters.length > 16 && isWalk(letters, sequence)))
  )
    return "is a sequence";
  return undefined;
}

/** The letters that remain without well-known words, separators and digits. */
function withoutWords(text: string): string {
  const words = [...WELL_KNOWN].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(words.map((word) => word.replace(/[-]/g, "\\-")).join("|"), "g");
  return text.replace(pattern, "").replace(/[^a-z]+/g, "");
}

/** Whether the text follows the sequence forwards or backwards, with wrap-around. */
function isWalk(text: string, sequence: string): boolean {
  for (const step of [1, -1]) {
    const walks = [...text].every((character, index) => {
      const before = index === 0 ? undefined : text[index - 1];
      if (!sequence.includes(character)) return false;
      if (before === undefined) return true;
      const expected = (sequence.indexOf(before) + step + sequence.length) % sequence.length;
      return sequence.indexOf(character) === expected;
    });
    if (walks) return true;
  }
  return false;
}
