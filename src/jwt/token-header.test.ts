import { expect, test } from "vitest";
import { readTokenHeader } from "./token-header.ts";

const segment = (header: unknown) => Buffer.from(JSON.stringify(header)).toString("base64url");
const HEADER = { typ: "JWT", alg: "ES256", kid: "k" };

test("a header of ours is read", () => {
  expect(readTokenHeader(segment(HEADER))).toEqual({ alg: "ES256", kid: "k", isUtf8: true });
  expect(readTokenHeader(segment({ ...HEADER, kid: "k".repeat(64) }))?.kid).toHaveLength(64);
});

test.each([
  ["another typ", { ...HEADER, typ: "at+jwt" }],
  ["no typ", { alg: "ES256", kid: "k" }],
  ["an algorithm that we do not sign with", { ...HEADER, alg: "none" }],
  ["no kid", { typ: "JWT", alg: "ES256" }],
  ["an empty kid", { ...HEADER, kid: "" }],
  ["a long kid", { ...HEADER, kid: "k".repeat(65) }],
  ["a member that could change how a token is read", { ...HEADER, crit: ["b64"] }],
  ["no object", [HEADER]],
])("a header with %s is not ours", (_what, header) => {
  expect(readTokenHeader(segment(header))).toBeUndefined();
});

test("a segment without JSON is no header", () => {
  expect(readTokenHeader("")).toBeUndefined();
  expect(readTokenHeader("AAAA")).toBeUndefined();
});

test("a header says whether it is UTF-8, because parsed JSON does not", () => {
  const bytes = Buffer.concat([
    Buffer.from('{"typ":"JWT","alg":"ES256","kid":"'),
    Buffer.from([0xff]),
    Buffer.from('"}'),
  ]);
  expect(readTokenHeader(bytes.toString("base64url"))).toMatchObject({ alg: "ES256", isUtf8: false });
});
