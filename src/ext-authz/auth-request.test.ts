import { describe, expect, test } from "vitest";
import { createCa } from "../../test/support/certificates.ts";
import { toAuthRequest } from "./auth-request.ts";
import type { ReceivedCheck, ReceivedHttp } from "./check-request-decoder.ts";
import { createReceivedHeaders } from "./request-headers.ts";

interface Received extends Omit<Partial<ReceivedHttp>, "headers"> {
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request as Envoy describes it. */
function received(
  { headers = {}, ...http }: Received = {},
  check: Partial<ReceivedCheck> = {},
): ReceivedCheck {
  const lines = createReceivedHeaders();
  for (const [name, line] of Object.entries(headers)) lines.add(name, line);
  return {
    http: { method: "GET", path: "/a/b", host: "Example.com", scheme: "https", ...http, headers: lines },
    certificate: "",
    peerAddress: "192.0.2.1",
    extensions: new Map([["latchkey.mode", "x"]]),
    ...check,
  };
}

/** The thumbprint of a certificate as Envoy sends it. */
function thumbprint(certificate: string): string | undefined {
  const http = { method: "GET", path: "/", host: "x", scheme: "https", headers: createReceivedHeaders() };
  const parsed = toAuthRequest({ http, certificate, peerAddress: "", extensions: undefined }, "reject");
  return parsed.ok ? parsed.request.certificate() : "malformed";
}

test("the thumbprint is the SHA-256 of the DER, for any form of the PEM", async () => {
  const ca = await createCa();
  expect(thumbprint(encodeURIComponent(ca.cert))).toBe(ca.thumbprint);
  expect(thumbprint(encodeURIComponent(ca.cert.replaceAll("\n", "\r\n")))).toBe(ca.thumbprint);
});

test.each(["", "%zz", "garbage", "-----BEGIN CERTIFICATE-----%0AAAAA%0A-----END CERTIFICATE-----%0A", "%00"])(
  "%j is not a certificate",
  (text) => expect(thumbprint(text)).toBeUndefined(),
);

describe("a request", () => {
  test("has what Envoy says about it, with the host in lower case and without a credential in the memoized path", () => {
    const check = received({ path: "/a/b?api_key=1?x", headers: { "X-A": "b" } });
    for (let repetition = 0; repetition < 2; repetition++)
      expect(toAuthRequest(check, "reject")).toMatchObject({
        ok: true,
        request: {
          method: "GET",
          host: "example.com",
          scheme: "https",
          path: { path: "/a/b", segments: ["a", "b"], query: "api_key=1?x" },
          peerAddress: "192.0.2.1",
          extensions: check.extensions,
          headers: check.http?.headers,
          grpc: false,
        },
      });
    expect(toAuthRequest(received(), "reject")).toMatchObject({ request: { path: { query: "" } } });
    expect(toAuthRequest(received({ path: "/a/b?" }), "reject")).toMatchObject({
      request: { path: { query: "" } },
    });
  });

  test("has no certificate if its client presented none", () => {
    const parsed = toAuthRequest(received(), "reject");
    expect(parsed.ok && parsed.request.certificate()).toBeUndefined();
  });

  test.each([
    ["application/grpc", true],
    ["application/grpc+proto", true],
    ["application/grpc-web", false],
    ["application/json", false],
    ["text/application/grpc", false],
    ["", false],
    [undefined, false],
  ])("of content type %s speaks gRPC: %s, as Envoy sees it, whether or not it is malformed", (type, grpc) => {
    const headers = { ...(type !== undefined && { "Content-Type": type }) };
    expect(toAuthRequest(received({ headers }), "reject")).toMatchObject({ ok: true, request: { grpc } });
    expect(toAuthRequest(received({ headers, path: "" }), "reject")).toMatchObject({ ok: false, grpc });
  });

  test("follows the policy about path parameters", () => {
    const matrix = received({ path: "/a;x=1/b?c" });
    expect(toAuthRequest(matrix, "reject")).toMatchObject({ ok: false });
    expect(toAuthRequest(matrix, "strip")).toMatchObject({
      ok: true,
      request: { path: { path: "/a/b", query: "c" } },
    });
  });
});

describe("a malformed request", () => {
  test("is one without HTTP, and it is not known to speak gRPC", () => {
    const none = { ...received(), http: undefined };
    expect(toAuthRequest(none, "reject")).toEqual({ ok: false, fault: "no_http", grpc: false });
  });

  test.each<readonly [fault: string, http: Received]>([
    ["no_method", { method: "" }],
    ["host_malformed", { host: "a b" }],
    ["no_method", { method: "", host: "a b" }],
    ["dot_segment", { path: "/a/../b?key=secret" }],
    ["dot_segment", { path: "/a/../b" }],
  ])("%s is described for the audit log as it was received, without its query", (fault, http) => {
    const check = received({ path: "/a/b?key=secret?", ...http });
    const parsed = toAuthRequest(check, "reject");
    expect(parsed).toMatchObject({
      ok: false,
      fault,
      unparsed: {
        method: http.method ?? "GET",
        host: http.host ?? "example.com",
        scheme: "https",
        headers: check.http?.headers,
        peerAddress: "192.0.2.1",
        rawPath: http.path === undefined ? "/a/b" : "/a/../b",
      },
    });
  });
});
