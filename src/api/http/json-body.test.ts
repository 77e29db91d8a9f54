import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBody, InvalidBody, parseForm, parseJsonBody } from "./json-body.ts";

/** A generated JSON text: with white space anywhere, names with escapes, and duplicate names. */
interface GeneratedJson {
  readonly text: string;
  readonly hasDuplicate: boolean;
}

const space = fc.constantFrom("", " ", "\n", "\r", "\t", "\r\n");
const name = fc.constantFrom("a", "b", "", "__proto__", "{", '"', "\\", ",", "é", "😀", "\u2028");
const spelling = fc.boolean();

function quoted(text: string, escaped: boolean): string {
  if (!escaped) return JSON.stringify(text);
  const codes = Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
  return `"${codes.map((code) => `\\u${code.toString(16).padStart(4, "0")}`).join("")}"`;
}

const leaf = fc
  .oneof(
    fc.constantFrom("1", "-0.5e3", "true", "null"),
    fc.tuple(name, spelling).map(([text, escaped]) => quoted(text, escaped)),
  )
  .map((text): GeneratedJson => ({ text, hasDuplicate: false }));

const { generated } = fc.letrec<{ generated: GeneratedJson }>((tie) => ({
  generated: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.tuple(fc.array(tie("generated"), { maxLength: 3 }), space).map(
      ([items, gap]): GeneratedJson => ({
        text: `[${gap}${items.map(({ text }) => text).join(`${gap},${gap}`)}${gap}]`,
        hasDuplicate: items.some(({ hasDuplicate }) => hasDuplicate),
      }),
    ),
    fc.tuple(fc.array(fc.tuple(name, spelling, tie("generated")), { maxLength: 4 }), space).map(
      ([members, gap]): GeneratedJson => ({
        text: `{${gap}${members
          .map(([key, escaped, { text }]) => `${quoted(key, escaped)}${gap}:${gap}${text}`)
          .join(`${gap},${gap}`)}${gap}}`,
        hasDuplicate:
          members.some(([, , { hasDuplicate }]) => hasDuplicate) ||
          new Set(members.map(([key]) => key)).size < members.length,
      }),
    ),
  ),
}));

describe("a JSON body", () => {
  test("is rejected exactly if an object has a duplicate member, with or without escapes", () => {
    let rejectedCount = 0;
    fc.assert(
      fc.property(generated, ({ text, hasDuplicate }) => {
        if (hasDuplicate) rejectedCount++;
        if (hasDuplicate)
          expect(() => parseJsonBody(text)).toThrow(new InvalidBody("the body has a member twice"));
        else expect(() => parseJsonBody(text)).not.toThrow();
      }),
      { numRuns: 1500 },
    );
    expect(rejectedCount).toBeGreaterThan(50);
  });

  test("is the value that was serialized", () => {
    // Only names without escapes: V8 misreads some sequences of escaped names as names with a backslash (nodejs/node#63785).
    const plainName = fc.stringMatching(/^[a-z_]{0,9}$/);
    const value = fc.jsonValue({ maxDepth: 3 }).filter((json) => !JSON.stringify(json).includes("\\"));
    fc.assert(
      fc.property(fc.dictionary(plainName, value), (body) => {
        expect(parseJsonBody(JSON.stringify(body))).toEqual(JSON.parse(JSON.stringify(body)));
      }),
    );
  });

  test.each([
    ["nothing", "", "the body is empty"],
    ["white space", " \r\n\t", "the body is empty"],
    ["text", "{name: x}", "the body is not JSON"],
    ["a byte order mark", '\ufeff{"a":1}', "the body is not JSON"],
    ["two values", "{} {}", "the body is not JSON"],
    ["a trailing comma", '{"a":1,}', "the body is not JSON"],
    ["a member twice", '{"a":1,"a":1}', "the body has a member twice"],
    ["a member twice, an escape in one", '{"a":1,"\\u0061":1}', "the body has a member twice"],
    ["a member twice, in lines of another system", '{\r"a":1,\r"a":2\r}', "the body has a member twice"],
    ["a member twice, deep inside", '[[{"x":{"a":1,"b":[],"a":2}}]]', "the body has a member twice"],
    [
      "a long member twice",
      `{"${"x".repeat(3000)}":1,"${"x".repeat(3000)}":1}`,
      "the body has a member twice",
    ],
    ["nesting without end", "[".repeat(8000) + "]".repeat(8000), "the body nests too deeply"],
    ["members without end", `${'{"a":'.repeat(2700)}1${"}".repeat(2700)}`, "the body nests too deeply"],
  ])("is rejected with a message: %s", (_what, text, problem) => {
    expect(() => parseJsonBody(text)).toThrow(new InvalidBody(problem));
  });

  test.each([
    ["the same name in several objects", '[{"a":1},{"a":{"a":[{"a":1},"a"]}}]'],
    ["a name that looks like a number or a token", '{"1":1,"1.0":1,"[":1,"]":1,"}":1,"a,b":1}'],
    ["a value equal to its name", '{"a":"a","b":"a"}'],
    ["a string that contains a whole object", '{"a":"{\\"a\\":1,\\"a\\":2}"}'],
  ])("is accepted: %s", (_what, text) => {
    expect(parseJsonBody(text)).toEqual(JSON.parse(text));
  });

  test("with a member __proto__ has an own member of that name and the usual prototype", () => {
    const body = parseJsonBody('{"__proto__":{"owner":"x"}}');
    expect(Object.keys(Object(body))).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(body)).toBe(Object.prototype);
  });
});

describe("a form", () => {
  test("becomes its decoded fields", () => {
    expect(parseForm("token=a%2Bb+c&token_type_hint=")).toEqual({ token: "a+b c", token_type_hint: "" });
  });

  test("with a duplicate field is rejected", () => {
    expect(() => parseForm("token=a&tok%65n=b")).toThrow(InvalidBody);
  });

  test.each([
    ["a lone percent sign", "token=%"],
    ["half an escape", "token=%4"],
    ["digits that are not hexadecimal", "token=%zz"],
    ["invalid UTF-8", "token=%ff"],
    ["a lone surrogate", "token=%ed%a0%80"],
    ["an overlong slash", "token=%c0%af"],
    ["a name that cannot be decoded", "%=x"],
  ])("with %s is rejected", (_what, text) => {
    expect(() => parseForm(text)).toThrow(new InvalidBody("a field is not valid percent-encoded UTF-8"));
  });

  test("is parsed as by URLSearchParams if nothing has to be repaired", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" })),
        (fields) => {
          expect(parseForm(new URLSearchParams(fields).toString())).toEqual(fields);
        },
      ),
    );
  });

  test("with a field __proto__ has an own field of that name and the usual prototype", () => {
    expect(Object.getPrototypeOf(parseForm("__proto__=x"))).toBe(Object.prototype);
    expect(Object.entries(parseForm("__proto__=x"))).toEqual([["__proto__", "x"]]);
  });
});

test.each([
  ["a lone continuation byte", [0x7b, 0x80, 0x7d]],
  ["a byte that UTF-8 never has", [0xff]],
  ["an overlong slash", [0xc0, 0xaf]],
  ["a lone surrogate", [0xed, 0xa0, 0x80]],
  ["a truncated character", [0xf0, 0x9f, 0x98]],
])("a body with %s is rejected, not repaired", (_what, bytes) => {
  expect(() => decodeBody(Uint8Array.from(bytes))).toThrow(new InvalidBody("the body is not valid UTF-8"));
});

test("a body keeps every character, including a byte order mark", () => {
  expect(decodeBody(new TextEncoder().encode("\ufeff é 😀 \0"))).toBe("\ufeff é 😀 \0");
});
