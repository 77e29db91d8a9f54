import fc from "fast-check";
import type { Text } from "./conversation.ts";
import { plain } from "./conversation.ts";

/** Any byte but those that end a line, which would only make another field of it. */
const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
const visible = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));

const run = (unit: fc.Arbitrary<string>, max: number) => fc.tuple(unit, fc.integer({ min: 1, max }));

/** What a value may begin or end with, and what must not matter. */
const blanks = fc.constantFrom(
  "",
  "",
  " ",
  "\t",
  "  ",
  " \t ",
  "\u00a0",
  "\u00ef\u00bb\u00bf",
  "\v",
  "\u0085",
);

/** Bytes that are no UTF-8, or are in more than one reading: cut, overlong, half a pair, beyond Unicode; and some that are. */
const utf8 = fc.constantFrom(
  "\xff",
  "\xfe\xff",
  "\xc3",
  "\xe2\x82",
  "\xc0\x80",
  "\xed\xa0\x80",
  "\xf4\x90\x80\x80",
  "\x80",
  "caf\xe9",
  "caf\xc3\xa9",
  "\xe2\x80\xa8",
  "\xf0\x9f\x98\x80",
);

const telling = fc.constantFrom(
  "",
  "0",
  "-1",
  "1e309",
  "99999999999999999999",
  "null",
  "true",
  "__proto__",
  "constructor",
  "%",
  "%00",
  "%zz",
  "%REQ(authorization)%",
  "{}",
  "[[[[",
  '"',
  "\\",
  ",",
  ",,,,",
  ";",
  "=",
  "a=b, c=d",
  "a,b;q=0.5",
  "gzip",
  "trailers",
  "../../etc/passwd",
  "\x00",
  "a\x00b",
  "a\rb",
  "a\nb: c",
  "\x7f",
  "\x01",
);

const word = fc.array(visible, { minLength: 1, maxLength: 12 }).map((all) => all.join(""));
const noise = fc.array(byte, { maxLength: 24 }).map((all) => all.join(""));

/** A value of a few bytes, with oddities at its ends. */
const shortText: fc.Arbitrary<Text> = fc
  .tuple(blanks, fc.oneof(word, word, telling, utf8, noise), blanks)
  .map((parts): Text => [[parts.join(""), 1]]);

/** A value of up to so many bytes, most of them around a limit that somebody may have. */
export function longText(maxBytes: number): fc.Arbitrary<Text> {
  const limits = [
    100, 1024, 4096, 8192, 16_384, 17_000, 32_768, 40_000, 61_440, 65_536, 98_304, 262_144, 1_048_576,
  ];
  const near = limits
    .filter((limit) => limit < maxBytes)
    .flatMap((limit) => [limit - 200, limit, limit + 200])
    .concat(Math.floor(maxBytes * 0.9), maxBytes - 1500);
  const size = fc.oneof(fc.constantFrom(...near), fc.integer({ min: 1, max: maxBytes }));
  const unit = fc.oneof(
    fc.constantFrom("a", " ", "\t", "a=b,", ",", "0", "%41", "\xff", "\u00c3\u00a9"),
    word,
    utf8,
  );
  return fc.tuple(size, unit, blanks).map(
    ([bytes, text, end]): Text => [
      [text, Math.max(1, Math.floor(bytes / text.length))],
      [end, 1],
    ],
  );
}

/** What a header's value may be. */
export function values(maxBytes: number): fc.Arbitrary<Text> {
  return fc.oneof(
    { weight: 12, arbitrary: shortText },
    { weight: 1, arbitrary: longText(Math.min(maxBytes, 8192)) },
  );
}

const token = fc
  .array(fc.constantFrom(..."abcxyz019-_.!#$%&'*+^`|~ABC"), { minLength: 1, maxLength: 20 })
  .map((all) => all.join(""));

/** A name that no specification knows: tokens, and what is none. */
export const oddNames: fc.Arbitrary<Text> = fc.oneof(
  { weight: 8, arbitrary: token.map(plain) },
  {
    weight: 2,
    arbitrary: fc.constantFrom("__proto__", "constructor", "toString", "x-latchkey", "-", "_").map(plain),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", " ", "a b", "a:b", ":path", ":x", "caf\xe9", "\x00", "a\tb").map(plain),
  },
  { weight: 1, arbitrary: run(fc.constantFrom("n", "x-", "_"), 20_000).map((one): Text => [one]) },
);

const segment = fc.oneof(
  fc.constantFrom(
    "a",
    "v1",
    "chat",
    ".",
    "..",
    "",
    "%2e",
    "%2e%2e",
    "..;x",
    ";x",
    "a;x=1",
    "%2f",
    "%5c",
    "\\",
    "%00",
  ),
  fc.constantFrom(
    "%",
    "%zz",
    "%61",
    "%2561",
    "caf\xc3\xa9",
    "\xff",
    "*",
    "**",
    "a b",
    "#f",
    "%23",
    "+",
    "@",
    "\x01",
  ),
  word,
);
const query = fc.oneof(
  fc.constantFrom(
    "",
    "?",
    "?a=b",
    "??",
    "?a&b=&=c",
    "?x=%zz",
    "?x=\xff",
    "?api_key=",
    "?api_key=a&api_key=b",
    "?#",
  ),
  word.map((text) => `?${text}`),
);

/** What stands after the method. */
export function targets(maxBytes: number): fc.Arbitrary<Text> {
  const path = fc
    .tuple(fc.array(segment, { minLength: 1, maxLength: 5 }), query)
    .map(([segments, end]) => plain(`/${segments.join("/")}${end}`));
  return fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom("/a/x", "/a/y?page=2", "/chat/x").map(plain) },
    { weight: 6, arbitrary: path },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(
          "*",
          "",
          "/",
          "//",
          "x",
          "host:80",
          "http://other/x",
          "https://u:p@other:1/x?y",
          "HTTP://A//B",
        )
        .map(plain),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom("/a/", "/a?q=", "//", "/%"), longText(Math.min(maxBytes, 65_536)))
        .map(([start, rest]): Text => [[start, 1], ...rest]),
    },
  );
}
