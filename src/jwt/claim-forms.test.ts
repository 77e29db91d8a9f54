import fc from "fast-check";
import { expect, test } from "vitest";
import { claimsSchema } from "../../test/support/jose-verifier.ts";
import { hasOurClaims, parseScope } from "./claim-forms.ts";

const ID = "basic_1800000000_abcdefghijklmnopqrstuv";
const valid = {
  iss: "blyan-api",
  aud: "latchkey",
  sub: ID,
  name: "Zoë",
  own: "acme",
  jti: ID,
  fam: ID,
  role: "basic",
  plan: "team",
  scope: "chat:read chat:write",
  iat: 1_800_000_000,
  nbf: 1_800_000_000,
  exp: 1_800_001_000,
  refresh_after: 1_800_000_500,
  nets: ["192.0.2.0/24", "::/0"],
  cnf: { "x5t#S256": "A".repeat(43) },
};
const names = Object.keys(valid);

/** As `claimsSchema` judges it. zod drops a member `__proto__` at some places, so the members are counted. */
function isAccepted(value: unknown): boolean {
  const parsed = claimsSchema.safeParse(value);
  return parsed.success && Object.keys(Object(value)).length === Object.keys(parsed.data).length;
}

/** Parsed from JSON, as claims are: only so can `__proto__` be a member of its own. */
function expectSameVerdict(json: string): boolean {
  const value: unknown = JSON.parse(json);
  const expected = isAccepted(value);
  expect(hasOurClaims(value), json).toBe(expected);
  return expected;
}

const member = (name: string, json: string) => `${JSON.stringify(name)}:${json}`;
const objectOf = (members: readonly (readonly [string, unknown])[]) =>
  `{${members.map(([name, value]) => member(name, JSON.stringify(value))).join(",")}}`;

const aroundLimits = [0, 1, 16, 32, 63, 64, 65, 127, 128, 129, 4199, 4200, 4201].flatMap((length) => [
  "a".repeat(length),
  "a ".repeat(length / 2).trimEnd(),
  `${"a".repeat(length)}\n`,
  "é".repeat(length),
  "🔑".repeat(length),
]);
const longScopes = ["a", "aa", "aaa"].map((last) => `${"a ".repeat(2099)}${last}`);
const times = [-1, -0, 0, 0.5, 2 ** 31, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e308];
const lists = [0, 1, 7, 8, 9].map((length) => Array.from({ length }, (_, at) => `10.0.0.${at}/32`));
const values: readonly unknown[] = [
  ...[
    ...aroundLimits,
    ...longScopes,
    ...times,
    ...lists,
    null,
    true,
    false,
    {},
    [],
    [[]],
    "toString",
    "__proto__",
    "1",
  ],
  ...["a b", " a", "a ", "a  b", "-a", "a-", "_a", "1a", "A9:._/-", "a\u0000", "a\u2028", "@", "/", "\ud800"],
  ...[`${ID}x`, `${ID}\n`, `x${"a".repeat(64)}_1_${"a".repeat(16)}`, `a_1_${"a".repeat(15)}`, "a_1_"],
  ...[["10.1.1.1/8"], ["10.0.0.0/8", 1], ["::/0", "::/0"], ["x"], { length: 1, 0: "::/0" }],
  ...[42, 43, 44].map((length) => ({ "x5t#S256": "A".repeat(length) })),
  ...[{ "x5t#S256": `${"A".repeat(42)}B` }, { "x5t#S256": `${"A".repeat(43)}\n` }, { "x5t#S256": 1 }],
  ...[{ "x5t#S256": "A".repeat(43), jkt: "x" }, { jkt: "A".repeat(43) }, ["A".repeat(43)]],
];

test("every claim with every hostile value has the verdict of the schema", () => {
  const verdicts = names.flatMap((name) =>
    values.map((value) => expectSameVerdict(JSON.stringify({ ...valid, [name]: value }))),
  );
  expect(new Set(verdicts)).toEqual(new Set([true, false]));
});

test("a claim that is absent, repeated, renamed or of no token of ours has the verdict of the schema", () => {
  const entries = Object.entries(valid);
  for (const name of names) {
    const others = entries.filter(([other]) => other !== name);
    expect(expectSameVerdict(objectOf(others))).toBe(["own", "plan", "nets", "cnf"].includes(name));
    expect(expectSameVerdict(objectOf([...entries, [name, null]]))).toBe(false);
    expect(expectSameVerdict(objectOf([[name, {}], ...others, [name, Object(valid)[name]]]))).toBe(true);
    expect(expectSameVerdict(objectOf([[name.toUpperCase(), "x"], ...others]))).toBe(false);
  }
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "", "admin", "crit"]) {
    expect(expectSameVerdict(objectOf([[name, valid], ...entries]))).toBe(false);
    expect(expectSameVerdict(objectOf([...entries, [name, 1]]))).toBe(false);
    const cnf = `{${member("x5t#S256", JSON.stringify("A".repeat(43)))},${member(name, "1")}}`;
    const others = objectOf(entries.filter(([other]) => other !== "cnf"));
    expect(expectSameVerdict(`${others.slice(0, -1)},${member("cnf", cnf)}}`)).toBe(false);
  }
});

test("any claims have the verdict of the schema", () => {
  const value = fc.oneof(fc.constantFrom(...values), fc.jsonValue(), fc.string({ unit: "binary" }));
  const name = fc.oneof({ arbitrary: fc.constantFrom(...names), weight: 5 }, fc.string());
  const changes = fc.array(fc.tuple(name, value), { maxLength: 3 });
  fc.assert(
    fc.property(changes, fc.subarray(names), fc.boolean(), (changed, dropped, drops) => {
      const kept = Object.entries(valid).filter(([claim]) => !drops || !dropped.includes(claim));
      expectSameVerdict(objectOf([...kept, ...changed]));
    }),
    { numRuns: 400 },
  );
  fc.assert(fc.property(fc.jsonValue(), (json) => void expectSameVerdict(JSON.stringify(json))));
});

test("equal scopes are one list, and a list keeps the order of the claim", () => {
  expect(parseScope("chat:write chat:read")).toEqual(["chat:write", "chat:read"]);
  expect(parseScope(`chat:${"read"}`)).toBe(parseScope(["chat", "read"].join(":")));
  expect(parseScope("")).toEqual([]);
  expect(parseScope(" ")).toBeUndefined();
});
