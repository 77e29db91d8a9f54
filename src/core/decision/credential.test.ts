import { expect, test } from "vitest";
import { hasThreeParts, presentedCredential } from "./credential.ts";

const SOURCES = ["authorization", "x-api-key"] as const;

function presented(headers: Readonly<Record<string, readonly string[]>>): string {
  const found = presentedCredential({ headers: new Map(Object.entries(headers)) }, SOURCES);
  return found.kind === "one" ? `${found.token} in ${found.source}` : found.kind;
}

test.each([
  ["nothing", {}, "none"],
  ["Bearer", { authorization: ["Bearer abc.d-e_f"] }, "abc.d-e_f in authorization"],
  ["bearer in lower case, more spaces", { authorization: ["bearer   abc"] }, "abc in authorization"],
  ["X-API-Key", { "x-api-key": ["abc"] }, "abc in x-api-key"],
  ["an empty Bearer", { authorization: ["Bearer"] }, "none"],
  ["an empty X-API-Key", { "x-api-key": [""] }, "none"],
  ["another scheme", { authorization: ["Basic dXNlcjpwYXNz"] }, "none"],
  ["both", { authorization: ["Bearer abc"], "x-api-key": ["abc"] }, "ambiguous"],
  ["another scheme beside X-API-Key", { authorization: ["Basic x"], "x-api-key": ["abc"] }, "ambiguous"],
  ["one twice", { "x-api-key": ["abc", "abc"] }, "ambiguous"],
  ["two lines joined by Envoy", { authorization: ["Bearer abc,Bearer def"] }, "ambiguous"],
  ["another scheme joined to Bearer", { authorization: ["Basic x,Bearer def"] }, "ambiguous"],
  ["two keys joined", { "x-api-key": ["k1,k2"] }, "ambiguous"],
  ["white space inside", { authorization: ["Bearer abc def"] }, "ambiguous"],
  ["a tab inside", { "x-api-key": ["abc\tdef"] }, "ambiguous"],
  ["letters beyond ASCII", { "x-api-key": ["abcé"] }, "ambiguous"],
  [
    "SP and HTAB around it",
    { authorization: ["\t Bearer abc \t"], "x-api-key": [" \t"] },
    "abc in authorization",
  ],
  ["SP and HTAB around X-API-Key", { "x-api-key": ["\t abc \t"] }, "abc in x-api-key"],
  ["HTAB between the scheme and the key", { authorization: ["Bearer \tabc"] }, "ambiguous"],
  ["X-API-Key of an NBSP alone", { "x-api-key": ["\u00a0"] }, "ambiguous"],
  ["Bearer without a space", { authorization: ["Bearerabc"] }, "none"],
  ["a scheme that ends with Bearer", { authorization: ["XBearer abc"] }, "none"],
  ["an empty Bearer beside X-API-Key", { authorization: ["Bearer"], "x-api-key": ["abc"] }, "ambiguous"],
  ["Bearer joined after white space", { authorization: ["Basic x, \tbearer"] }, "ambiguous"],
  ["a scheme that begins with Bearer, joined", { authorization: ["Basic x,bearers y"] }, "none"],
  ["the word Bearer in another scheme", { authorization: ["Basic bearer x"] }, "none"],
  ["padding", { "x-api-key": ["ab+/=="] }, "ab+/== in x-api-key"],
  ["padding before its end", { "x-api-key": ["ab=c"] }, "ambiguous"],
  ["padding alone", { "x-api-key": ["=="] }, "ambiguous"],
])("%s", (_what, headers, wanted) => {
  expect(presented(headers)).toBe(wanted);
});

test.each(["\u00a0", "\ufeff", "\r", "\n", "\r\n", "\v", "\f", "\u2003", "\u2028", "\u3000"])(
  "%j beside a key belongs to it, so the key is malformed",
  (blank) => {
    for (const source of ["authorization", "x-api-key"]) {
      const scheme = source === "authorization" ? "Bearer " : "";
      expect(presented({ [source]: [`${scheme}abc${blank}`] })).toBe("ambiguous");
      expect(presented({ [source]: [`${scheme}${blank}abc`] })).toBe("ambiguous");
      expect(presented({ [source]: [`${blank}${scheme}abc`] })).not.toContain("abc");
    }
    const sources = ["cookie:key", "query:key"] as const;
    for (const pair of [`key=abc${blank}`, `key=${blank}abc`, `${blank}key=abc`, `key${blank}=abc`]) {
      const cookies = { headers: new Map([["cookie", [`a=b; ${pair}`]]]) };
      expect(presentedCredential(cookies, sources)).toEqual({ kind: "ambiguous" });
    }
    const query = { headers: new Map(), path: { query: `key=abc${encodeURIComponent(blank)}` } };
    expect(presentedCredential(query, sources)).toEqual({ kind: "ambiguous" });
  },
);

test("a header that the policy does not name is ignored", () => {
  const headers = new Map([["authorization", ["Bearer abc"]]]);
  expect(presentedCredential({ headers }, ["x-api-key"])).toEqual({ kind: "none" });
});

test.each([
  ["its plain name", "a=1&key=abc&b", "one"],
  ["an escape in its value", "key=%61bc", "one"],
  ["an escape in its name", "k%65y=abc", "ambiguous"],
  ["a fully escaped name", "%6B%65%79=abc", "ambiguous"],
  ["a truncated escape in its name", "ke%7=abc&ke%&key%=abc", "none"],
  ["an escape that is not UTF-8 in another parameter", "%ff=abc&key=abc", "one"],
  ["a value that is not UTF-8", "key=%ff", "ambiguous"],
  ["a longer name", "keys=abc&akey=abc", "none"],
  ["a name as long as an escaped one", "abcdefghi=abc", "none"],
  ["another escaped name", "%6C%65%79=abc", "none"],
  ["the digits of an escaped name, without their percent signs", "x6Bx65x79=abc", "none"],
  ["no value", "key&key=", "none"],
  ["no value and an escape in its name", "k%65y", "ambiguous"],
  ["an escape in a name with its own letters", "%6Bey=abc&x", "ambiguous"],
  ["an escaped equals sign", "key%3Dabc", "none"],
  ["a space before its value", "key=%20abc", "ambiguous"],
  ["a space alone", "key=%20", "ambiguous"],
  ["two values", "key=abc&key=def", "ambiguous"],
  ["as many values as any client sends", `${"key&".repeat(15)}key=abc`, "one"],
  ["as many values, one more of them in another name", `${"key&".repeat(15)}keys&key=abc`, "one"],
  ["more values than any client sends", `${"key&".repeat(16)}key=abc`, "ambiguous"],
])("a query parameter with %s", (_what, query, kind) => {
  expect(presentedCredential({ headers: new Map(), path: { query } }, ["query:key"]).kind).toBe(kind);
});

test.each([
  ["key=a%2Db%5F%41", "a-b_A"],
  ["a&key=a+b", "a+b"],
  ["key=ab==&", "ab=="],
  ["&&key=abc", "abc"],
])("a key in the query %s is %s", (query, token) => {
  const source = "query:key";
  expect(presentedCredential({ headers: new Map(), path: { query } }, [source])).toEqual({
    kind: "one",
    token,
    source,
  });
});

test("a request without a path has no key in its query", () => {
  expect(presentedCredential({ headers: new Map() }, ["query:key"])).toEqual({ kind: "none" });
});

test.each([
  ["a.b.c", true],
  ["..", true],
  ["", false],
  ["a", false],
  ["a.b", false],
  ["a.b.c.d", false],
])("%j has three parts: %s", (key, has) => {
  expect(hasThreeParts(key)).toBe(has);
});
