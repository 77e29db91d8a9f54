import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PLAIN_ROUTE } from "../../test/support/route.ts";
import type { Allow, Decision } from "../core/decision/decision.ts";
import { DENIALS, DENY_REASONS, deny } from "../core/decision/decision.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import type { HeaderOption } from "./messages.ts";
import { toCheckResponse } from "./plain-response.ts";
import type { ResponseContext } from "./response-context.ts";

const route = { ...PLAIN_ROUTE, label: "chat", pattern: "/a" };
const principal = {
  keyId: "basic_1_x",
  family: "fam_x",
  role: "basic",
  scopes: ["a", "b"],
  name: "x",
  issuedAt: 1,
  expiresAt: 2,
  refreshAfter: 1,
};
const allow: Allow = {
  verdict: "allow",
  reason: "allowed",
  route,
  principal,
  scopes: ["a"],
  rates: [],
  refreshDue: false,
};

function contextWith(
  more: Partial<ResponseContext> = {},
  headers: Readonly<Record<string, string>> = {},
): ResponseContext {
  const request: AuthRequest = {
    method: "GET",
    host: "x",
    scheme: "https",
    path: { path: "/a", segments: ["a"], query: "" },
    headers: new Map(Object.entries(headers).map(([name, value]) => [name, [value]])),
    peerAddress: "127.0.0.1",
    certificate: () => undefined,
    extensions: new Map(),
    grpc: false,
  };
  return {
    decisionId: "d",
    forwardPrefix: "x-latchkey-",
    legacyRateLimit: false,
    credentialSources: ["authorization", "x-api-key"],
    request,
    grpc: false,
    ...more,
  };
}

function valuesOf(headers: readonly HeaderOption[] | undefined): Record<string, string> {
  return Object.fromEntries((headers ?? []).map(({ header }) => [header.key, header.value]));
}

function allowed(decision: Allow, context: ResponseContext) {
  const response = toCheckResponse(decision, context);
  if (!("ok_response" in response)) throw new Error("denied");
  return {
    set: valuesOf(response.ok_response.headers),
    removed: response.ok_response.headers_to_remove ?? [],
    added: valuesOf(response.ok_response.response_headers_to_add),
  };
}

function denied(decision: Decision, context = contextWith()) {
  const response = toCheckResponse(decision, context);
  if (!("denied_response" in response)) throw new Error("allowed");
  const { status, headers, body = "" } = response.denied_response;
  return { code: response.status.code, status: status.code, headers: valuesOf(headers), body };
}

const NAMES = ["key-id", "family", "owner", "role", "scopes", "name", "decision-id"].map(
  (name) => `x-latchkey-${name}`,
);

describe("on every allow each identity header is set or removed, never both", () => {
  const publicAllow: Allow = {
    verdict: "allow",
    reason: "allowed",
    route: { ...route, public: true },
    scopes: [],
    rates: [],
    refreshDue: false,
  };
  const spoofed = {
    "x-latchkey-role": "admin",
    x_latchkey_role: "admin",
    "x-latchkey_role": "admin",
    "x-latchkey-new": "1",
    "x-other": "1",
  };

  test.each([
    ["with a key", allow],
    ["on a public route", publicAllow],
  ])("%s", (_what, decision) => {
    const { set, removed } = allowed(decision, contextWith({}, spoofed));
    for (const name of NAMES) {
      expect([name, Object.hasOwn(set, name) !== removed.includes(name)]).toEqual([name, true]);
      expect(removed).toContain(name.replaceAll("-", "_"));
    }
    for (const name of ["x_latchkey_role", "x-latchkey_role", "x-latchkey-new"])
      expect(removed).toContain(name);
    expect(removed).not.toContain("x-other");
    expect(removed).toContain("authorization");
    expect(removed).toContain("x-api-key");
  });

  test("a route may keep the credential, and another prefix may be set", () => {
    const keeping: Allow = { ...allow, route: { ...route, stripCredential: false } };
    const { set, removed } = allowed(keeping, contextWith({ forwardPrefix: "x-acme-" }));
    expect(removed).not.toContain("authorization");
    expect(set["x-acme-role"]).toBe("basic");
  });

  test("the owner is the family if no owner is set, and the scopes are the effective ones", () => {
    expect(allowed(allow, contextWith()).set).toMatchObject({
      "x-latchkey-owner": "fam_x",
      "x-latchkey-scopes": "a",
    });
    expect(
      allowed({ ...allow, principal: { ...principal, owner: "acme" } }, contextWith()).set[
        "x-latchkey-owner"
      ],
    ).toBe("acme");
  });

  test("the client is notified when its key may be refreshed", () => {
    expect(allowed({ ...allow, refreshDue: true }, contextWith()).added).toEqual({
      "x-latchkey-refresh": "due",
    });
  });

  test("no name can break a header, and every name can be decoded again", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (name) => {
        const value =
          allowed({ ...allow, principal: { ...principal, name } }, contextWith()).set["x-latchkey-name"] ??
          "";
        expect(value).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeURIComponent(value)).toBe(name);
      }),
    );
  });

  test("every header is set to replace, in both forms", () => {
    const response = toCheckResponse({ ...allow, refreshDue: true }, contextWith());
    if (!("ok_response" in response)) throw new Error("denied");
    const all = [
      ...(response.ok_response.headers ?? []),
      ...(response.ok_response.response_headers_to_add ?? []),
    ];
    for (const option of all) expect(option).toMatchObject({ append: { value: false }, append_action: 2 });
  });
});

describe("every denial", () => {
  test.each(DENY_REASONS)("%s has its status, its challenge, and a problem with its title only", (reason) => {
    const { status, headers, body, code } = denied(deny(reason));
    const denial = DENIALS[reason];
    expect(status).toBe(denial.status);
    expect(code).not.toBe(0);
    expect(headers).toMatchObject({
      "x-latchkey-reason": reason,
      "x-latchkey-decision-id": "d",
      "cache-control": "no-store",
      "content-type": "application/problem+json",
    });
    expect(Object.hasOwn(headers, "www-authenticate")).toBe("challenge" in denial);
    expect(Object.hasOwn(headers, "retry-after")).toBe(status === 503);
    expect(JSON.parse(body)).toEqual({
      type: `/problems/${reason.replaceAll("_", "-")}`,
      title: denial.title,
      status,
      decision_id: "d",
    });
    expect(denial.title).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
  });

  test("has a short text and the matching grpc-status for gRPC", () => {
    const statuses = DENY_REASONS.map((reason) => {
      const { headers, body } = denied(deny(reason), contextWith({ grpc: true }));
      expect(body).toBe(DENIALS[reason].title);
      return [DENIALS[reason].status, headers["grpc-status"]];
    });
    expect(new Map(statuses.map(([http, grpc]) => [http, grpc]))).toEqual(
      new Map([
        [400, "3"],
        [401, "16"],
        [403, "7"],
        [429, "8"],
        [503, "14"],
      ]),
    );
  });

  test("has the missing scope, and the time of the next try", () => {
    expect(
      denied(deny("scope_missing", { requiredScopes: ["a", "b"] })).headers["www-authenticate"],
    ).toContain('error="insufficient_scope"');
    expect(
      denied(deny("scope_missing", { requiredScopes: ["a", "b"] })).headers["www-authenticate"],
    ).toContain('scope="a b"');
    const rates = [{ name: "per-key", capacity: 60, windowSeconds: 60, remaining: 0 }];
    expect(denied(deny("rate_limited", { retryAfterSeconds: 7, rates })).headers).toMatchObject({
      "retry-after": "7",
      ratelimit: '"per-key";r=0;t=7',
    });
  });
});
