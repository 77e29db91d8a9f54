import fc from "fast-check";

/** Text with a meaning in YAML, JSON, PEM or CSV. */
const piece = fc.oneof(
  fc.constantFrom(
    "*x",
    "&x ",
    "<<: *x",
    "<<: 3",
    "!!set ",
    "!!binary ",
    "!foo ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "? ",
    "\n",
    "\t",
  ),
  fc.constantFrom(
    "---\n",
    "...\n",
    "%YAML 1.1\n---\n",
    "|\n",
    ">-\n",
    '"',
    "'",
    "#",
    "\0",
    "\ufeff",
    "\ud800",
    "__proto__: ",
    "constructor: ",
  ),
  fc.constantFrom(
    ".inf",
    "-1",
    "1e999",
    "0x7fffffffffffffff",
    "null",
    "~",
    "true",
    "2026-01-01",
    "999999999d",
    "1/0s",
  ),
  fc.constantFrom(
    '"__proto__":',
    '{"a":',
    "[[[[",
    "-----BEGIN CERTIFICATE-----\n",
    "-----END ",
    ",",
    '""',
    "\r\n",
    "\\u0000",
    "==",
  ),
  fc.string({ unit: "binary", maxLength: 8 }),
);

/** A file with a few places replaced, as by a person, a template or a broken disk. */
export function mutationsOf(text: string): fc.Arbitrary<string> {
  const edit = fc.record({ at: fc.nat(text.length), removed: fc.nat(30), piece, copied: fc.nat(200) });
  return fc
    .array(edit, { minLength: 1, maxLength: 6 })
    .map((edits) =>
      edits.reduce(
        (mutated, { at, removed, piece, copied }) =>
          mutated.slice(0, at) +
          piece +
          mutated.slice(at + removed, at + removed + copied) +
          mutated.slice(at + removed),
        text,
      ),
    );
}
