import { describe, expect, test } from "vitest";
import type { CredentialSource } from "../core/decision/credential.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import {
  canStripCookies,
  credentialHeaders,
  credentialRemoval,
  underscoreVariant,
} from "./credential-removal.ts";
import { createReceivedHeaders } from "./request-headers.ts";

/** A request with these Cookie lines and this query. Raw lines have one character for each byte. */
function requestWith(cookies: readonly string[], query = "", joined = true): AuthRequest {
  const headers = createReceivedHeaders();
  headers.joined = joined;
  for (const line of cookies) headers.add("cookie", line);
  return {
    method: "GET",
    host: "x",
    scheme: "https",
    path: { path: "/a", segments: ["a"], query },
    headers,
    peerAddress: "",
    certificate: () => undefined,
    extensions: new Map(),
    grpc: false,
  };
}

const raw = (text: string) => Buffer.from(text, "utf8").toString("latin1");
const sources: readonly CredentialSource[] = ["x-api-key", "cookie:key", "query:api_key", "query:k"];
const nothing = { cookieHeader: false, cookies: "", parameters: [] };

test("headers that may contain a key are removed in every spelling, and each spelling once", () => {
  expect(credentialHeaders(["authorization", "x-api-key", "cookie:key", "query:api_key"])).toEqual([
    "authorization",
    "x-api-key",
    "x_api_key",
  ]);
  expect(credentialHeaders([])).toEqual([]);
  expect(underscoreVariant("x-latchkey-key-id")).toBe("x_latchkey_key_id");
});

describe("a request without a key in a cookie or parameter is not rewritten", () => {
  test.each<readonly [what: string, cookies: readonly string[], query: string]>([
    ["nothing", [], ""],
    ["other cookies", ["a=b; keys=c"], ""],
    ["other parameters", [], "a=b&api_keys=c&xapi_key=d"],
    ["a name as the value of another parameter", [], "a=api_key=1"],
  ])("%s", (_what, cookies, query) => {
    expect(credentialRemoval(requestWith(cookies, query), sources)).toEqual(nothing);
  });

  test("a cookie and a parameter that the policy does not name", () => {
    const request = requestWith(["key=1"], "api_key=1");
    expect(credentialRemoval(request, ["authorization"])).toEqual(nothing);
    expect(canStripCookies(requestWith([raw("key=1; a=é").slice(0, -1)], "", false), ["authorization"])).toBe(
      true,
    );
  });
});

describe("a parameter with a key is removed", () => {
  test.each([
    ["api_key=1", ["api_key"]],
    ["api_key", ["api_key"]],
    ["api_key=", ["api_key"]],
    ["a=b&api_key=1&c=d", ["api_key"]],
    ["a=b&k=1&api_key=2&api_key=3", ["api_key", "k"]],
  ])("%s", (query, parameters) => {
    expect(credentialRemoval(requestWith([], query), sources)).toEqual({ ...nothing, parameters });
  });

  test("and other cookies stay as they are", () => {
    expect(credentialRemoval(requestWith(["a=b"], "k=1"), sources)).toEqual({
      ...nothing,
      parameters: ["k"],
    });
  });
});

describe("a cookie with a key is removed", () => {
  test("and the others stay, also beside a parameter", () => {
    expect(credentialRemoval(requestWith(["a=b; key=1; c=d"], "k=1"), sources)).toEqual({
      cookieHeader: false,
      cookies: "a=b; c=d",
      parameters: ["k"],
    });
  });

  test("where the policy accepts keys in cookies only", () => {
    const only = ["cookie:key", "cookie:old"] as const;
    expect(credentialRemoval(requestWith(["a=b; key=1; old=2"]), only)).toEqual({
      ...nothing,
      cookies: "a=b",
    });
    expect(canStripCookies(requestWith(["key=1; name=Zo\xeb"], "", false), only)).toBe(false);
  });

  test("with the whole header, if no other cookie remains", () => {
    expect(credentialRemoval(requestWith(["key=1"]), sources)).toEqual({ ...nothing, cookieHeader: true });
  });

  test("from raw bytes, which are sent as the UTF-8 text that they are", () => {
    const request = requestWith([raw("key=1; name=Zoë")], "", false);
    expect(canStripCookies(request, sources)).toBe(true);
    expect(credentialRemoval(request, sources)).toEqual({ ...nothing, cookies: "name=Zoë" });
    expect(credentialRemoval(requestWith(["key=1; name=Zoë"]), sources)).toEqual({
      ...nothing,
      cookies: "name=Zoë",
    });
  });

  test("with all others if these are not UTF-8: the request is denied before, and the key is not passed on anyway", () => {
    const request = requestWith(["key=1; name=Zo\xeb"], "", false);
    expect(canStripCookies(request, sources)).toBe(false);
    expect(credentialRemoval(request, sources)).toEqual({ ...nothing, cookieHeader: true });
  });

  test("and bytes beyond UTF-8 hinder nothing if there is no key to remove", () => {
    expect(canStripCookies(requestWith(["name=Zo\xeb"], "", false), sources)).toBe(true);
  });
});
