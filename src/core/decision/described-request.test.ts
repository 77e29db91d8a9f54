import { describe, expect, test } from "vitest";
import type { CredentialSource } from "./credential.ts";
import { presentedCredential } from "./credential.ts";
import type { DescribedRequest } from "./described-request.ts";
import { describedRequest, sentRequest } from "./described-request.ts";

const SOURCES = ["authorization", "x-api-key", "cookie:session", "query:api_key"] as const;
const POLICY = { credentialSources: SOURCES, pathParams: "reject" } as const;
const A: DescribedRequest = { method: "GET", path: "/a" };

/** The request that Envoy would send. */
function requestOf(described: DescribedRequest) {
  const result = describedRequest(described, POLICY);
  return result.ok ? result.request : expect.unreachable(result.fault);
}

const sent = (described: DescribedRequest) => sentRequest(described, POLICY);

test("a request of which only method and path are described comes over HTTPS from an address for examples", () => {
  const { certificate, ...request } = requestOf(A);
  expect(request).toEqual({
    method: "GET",
    host: "localhost",
    scheme: "https",
    path: { path: "/a", segments: ["a"], query: "" },
    headers: new Map(),
    peerAddress: "192.0.2.1",
    extensions: new Map(),
    grpc: false,
  });
  expect(certificate()).toBeUndefined();
});

test("every described member is that of the request, normalised as in a Check", () => {
  const { certificate, ...request } = requestOf({
    method: "POST",
    path: "/%61/?x=1",
    host: "API.Example.com.:8443",
    scheme: "http",
    headers: { "X-Trace": "1", accept: ["text/html", "text/plain"] },
    address: "203.0.113.9",
    certificate: "thumbprint",
    extensions: { scopes: "read" },
  });
  expect(request).toEqual({
    method: "POST",
    host: "api.example.com",
    scheme: "http",
    path: { path: "/a", segments: ["a"], query: "x=1" },
    headers: new Map([
      ["x-trace", ["1"]],
      ["accept", ["text/html", "text/plain"]],
    ]),
    peerAddress: "203.0.113.9",
    extensions: new Map([["scopes", "read"]]),
    grpc: false,
  });
  expect(certificate()).toBe("thumbprint");
});

test.each([
  [{ path: "/a/../b" }, "dot_segment"],
  [{ path: "/a;v=1" }, "path_params"],
  [{ host: "a:80:80" }, "host_malformed"],
] as const)("%j is a fault and no request, as in a Check", (more, fault) => {
  expect(describedRequest({ ...A, ...more }, POLICY)).toEqual({ ok: false, fault });
});

test("path parameters are read as the policy says", () => {
  expect(describedRequest({ ...A, path: "/a;v=1" }, { ...POLICY, pathParams: "strip" })).toMatchObject({
    request: { path: { path: "/a" } },
  });
});

describe("the key of a described request", () => {
  test.each(SOURCES)("is the one that a Check finds in %s", (source) => {
    const request = requestOf({ ...A, key: "k.1_~", in: source });
    expect(presentedCredential(request, SOURCES)).toEqual({ kind: "one", token: "k.1_~", source });
  });

  test("is in the policy's first source unless the description names another one", () => {
    const inFirst = (credentialSources: readonly CredentialSource[]) =>
      sentRequest({ ...A, key: "k" }, { credentialSources }).headers;
    expect(inFirst(["x-api-key", "authorization"])).toEqual(new Map([["x-api-key", ["k"]]]));
    expect(inFirst([])).toEqual(new Map([["authorization", ["Bearer k"]]]));
  });

  test.each([
    ["authorization", ["authorization", ["Bearer k"]]],
    ["x-api-key", ["x-api-key", ["k"]]],
    ["cookie:session", ["cookie", ["session=k"]]],
  ] as const)("in %s is one line of a header, and leaves the path", (source, line) => {
    const { headers, path } = sent({ ...A, key: "k", in: source });
    expect([...headers]).toEqual([line]);
    expect(path).toBe("/a");
  });

  test("in a query parameter is escaped, follows the other parameters, and is in no header", () => {
    const inQuery = { key: "k&x=+", in: "query:api_key" } as const;
    expect(sent({ ...A, ...inQuery })).toMatchObject({ path: "/a?api_key=k%26x%3D%2B", headers: new Map() });
    expect(sent({ ...A, path: "/a?x=1", ...inQuery }).path).toBe("/a?x=1&api_key=k%26x%3D%2B");
  });

  test("beside a described header of that name is a line of its own, so that a Check finds both", () => {
    const request = requestOf({ ...A, headers: { "X-API-Key": "other" }, key: "k", in: "x-api-key" });
    expect(request.headers.get("x-api-key")).toEqual(["other", "k"]);
    expect(presentedCredential(request, SOURCES)).toEqual({ kind: "ambiguous" });
  });

  test.each(SOURCES)("is in no part of the request if none is described, also with %s", (source) => {
    expect(sent({ ...A, in: source })).toMatchObject({ path: "/a", headers: new Map() });
  });
});
