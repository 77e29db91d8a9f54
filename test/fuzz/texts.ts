import fc from "fast-check";
import type { Text } from "./conversation.ts";
import { plain } from "./conversation.ts";

/** The usual value, this many times as often as the rare one. */
export function mostly<T, R>(
  times: number,
  usual: fc.Arbitrary<T>,
  rare: fc.Arbitrary<R>,
): fc.Arbitrary<T | R> {
  return fc.oneof<fc.MaybeWeightedArbitrary<T | R>[]>(
    { weight: times, arbitrary: usual },
    { weight: 1, arbitrary: rare },
  );
}

/** Any byte that Envoy accepts in a field; of the control characters HTAB and DEL. */
const byte = fc
  .oneof(fc.constant(9), fc.integer({ min: 0x20, max: 255 }))
  .map((code) => String.fromCharCode(code));
const visible = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));

/** White space around a value, which must not matter. */
const blanks = fc.constantFrom("", "", " ", "\t", "  ", " \t ", "\u00a0", "\u00ef\u00bb\u00bf", "\u0085");

/**
 * Bytes that are invalid or ambiguous UTF-8: cut, overlong, lone surrogates, beyond Unicode; and some valid
 * ones.
 */
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

const meaningful = fc.constantFrom(
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
  "\x7f",
);

const word = fc.array(visible, { minLength: 1, maxLength: 12 }).map((all) => all.join(""));
const noise = fc.array(byte, { maxLength: 24 }).map((all) => all.join(""));

/** A value of a few bytes, with odd bytes at its ends. */
const shortText: fc.Arbitrary<Text> = fc
  .tuple(blanks, fc.oneof(word, word, meaningful, utf8, noise), blanks)
  .map((parts): Text => [[parts.join(""), 1]]);

/** A value up to this many bytes, mostly near a plausible limit. */
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

/** A header's value. */
export function values(maxBytes: number): fc.Arbitrary<Text> {
  return mostly(15, shortText, longText(Math.min(maxBytes, 8192)));
}

const token = fc
  .array(fc.constantFrom(..."abcxyz019-_.!#$%&'*+^`|~ABC"), { minLength: 1, maxLength: 20 })
  .map((all) => all.join(""));

/** A name that no specification defines. */
export const oddNames: fc.Arbitrary<Text> = fc.oneof(
  { weight: 8, arbitrary: token.map(plain) },
  { weight: 2, arbitrary: fc.constantFrom("__proto__", "constructor", "toString", "-", "_").map(plain) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom("n", "x-", "_"), fc.integer({ min: 1, max: 20_000 }))
      .map((run): Text => [run]),
  },
);

const oneOf = (list: string) => fc.constantFrom(...list.split(" "));

const segment = fc.oneof(
  oneOf("a v1 chat . ..  %2e %2e%2e ..;x ;x a;x=1 %2f %5c \\ %00 % %zz %61 %2561 * ** %23 + @ __proto__"),
  word.map((text) => text.replaceAll("#", "")),
);
const query = fc.oneof(
  oneOf(" ? ?a=b ?? ?a&b=&=c ?x=%zz ?api_key= ?api_key=a&api_key=b ?api_key={key} ?api_key={key-first}"),
  word.map((text) => `?${text.replaceAll("#", "")}`),
);
const path = fc
  .tuple(fc.array(segment, { minLength: 1, maxLength: 5 }), query)
  .map(([segments, end]) => plain(`/${segments.join("/")}${end}`));

/** The request target. */
export function targets(maxBytes: number): fc.Arbitrary<Text> {
  const long = fc
    .tuple(oneOf("/a/ /a?q= // /%"), longText(Math.min(maxBytes, 65_536)))
    .map(([start, [run]]): Text => [[start, 1], ...(run ? [run] : [])]);
  return fc.oneof(
    { weight: 6, arbitrary: oneOf("/a/x /a/y?page=2 /chat/x").map(plain) },
    { weight: 6, arbitrary: path },
    {
      weight: 1,
      arbitrary: oneOf("/ // /caf\xc3\xa9 /a/caf%C3%A9").map(plain),
    },
    { weight: 1, arbitrary: long },
  );
}

/** Targets and values that Envoy rejects by itself. */
export const flawedTargets = oneOf(
  " * x host:80 /#f /\xff /\x01 /\x00 http://other/x https://u:p@other:1/x?y HTTP://A//B /a\tb",
).map(plain);
export const flawedValues = fc
  .constantFrom("\x00", "a\x00b", "a\rb", "a\nb: c", "\x01", "\x1b", "\v")
  .map(plain);
export const flawedNames = fc
  .constantFrom("", " ", "a b", "a:b", ":path", ":x", "caf\xe9", "\x00", "a\tb")
  .map(plain);
