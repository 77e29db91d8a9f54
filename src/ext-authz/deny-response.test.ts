import { describe, expect, test } from "vitest";
import {
  ALLOWED,
  asAllow,
  asDenial,
  contextWith,
  PRINCIPAL,
  PUBLIC_ALLOW,
  valuesOf,
} from "../../test/support/responses.ts";
import type { Decision, DenyReason } from "../core/decision/decision.ts";
import { DENIALS, DENY_REASONS, deny } from "../core/decision/decision.ts";
import { toCheckResponse } from "./plain-response.ts";
import type { PlainObject } from "./struct.ts";
import { toStruct } from "./struct.ts";

const RATES = [{ name: "per-key", capacity: 60, windowSeconds: 60, remaining: 0 }];
const LINK = '</api/auth/v2/migrate>; rel="successor-version"';

function denied(decision: Decision, context = contextWith()) {
  const response = asDenial(toCheckResponse(decision, context));
  const { status, headers, body = "" } = response.denied_response;
  return { ...response.status, status: status.code, headers: valuesOf(headers), body };
}

describe("every denial", () => {
  test.each(DENY_REASONS)("%s has its status, its challenge, and a problem with its title only", (reason) => {
    const { status, headers, body, code, message } = denied(deny(reason));
    const denial = DENIALS[reason];
    expect(status).toBe(denial.status);
    expect(code).not.toBe(0);
    expect(message).toBe(reason);
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
      expect(headers["content-type"]).toBe("text/plain");
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

  test.each<readonly [reason: DenyReason, challenge: string]>([
    ["credential_missing", ""],
    ["key_expired", ', error="invalid_token", error_description="The API key has expired."'],
    [
      "credential_ambiguous",
      ', error="invalid_request", error_description="The request contains more than one API key, or a malformed one."',
    ],
    [
      "scope_missing",
      ', error="insufficient_scope", error_description="The API key lacks a scope that this request needs.", scope="a b"',
    ],
  ])("%s has the challenge of RFC 6750", (reason, challenge) => {
    const details = reason === "scope_missing" ? { requiredScopes: ["a", "b"] } : {};
    expect(denied(deny(reason, details)).headers["www-authenticate"]).toBe(
      `Bearer realm="latchkey"${challenge}`,
    );
  });

  test("has the limits, and the time of the next try", () => {
    const decision = deny("rate_limited", { retryAfterSeconds: 7, rates: RATES });
    const { headers } = denied(decision);
    const limits = {
      "retry-after": "7",
      ratelimit: '"per-key";r=0;t=7',
      "ratelimit-policy": '"per-key";q=60;w=60',
    };
    expect(headers).toMatchObject(limits);
    expect(denied(decision, contextWith({ legacyRateLimit: true })).headers).toEqual({
      ...headers,
      "x-ratelimit-limit": "60",
      "x-ratelimit-remaining": "0",
      "x-ratelimit-reset": "7",
    });
  });

  test("has the quota that is exhausted, and when its window ends", () => {
    const quota = { name: "monthly", limit: 1000, resetsAtMs: Date.UTC(2026, 11, 1) };
    expect(JSON.parse(denied(deny("quota_exceeded", { quota })).body)).toMatchObject({
      quota: "monthly",
      limit: 1000,
      resets_at: "2026-12-01T00:00:00.000Z",
    });
  });

  test("has the link to the exchange of keys, only for a key that must be exchanged", () => {
    const withLink = DENY_REASONS.filter((reason) => denied(deny(reason)).headers["link"] === LINK);
    expect(withLink).toEqual(["legacy_key_removed"]);
    expect(denied(deny("scope_missing", { notice: {} })).headers).toMatchObject({
      link: LINK,
      "x-latchkey-upgrade": "v2",
    });
  });

  test("sets every header, because Envoy appends only to a header that exists", () => {
    const decision = deny("rate_limited", { notice: {}, rates: RATES });
    for (const option of asDenial(toCheckResponse(decision, contextWith())).denied_response.headers ?? [])
      expect(option).toMatchObject({ append: { value: false }, append_action: 2 });
  });
});

const KEY = { key_id: "basic_1_x", family: "fam_x", role: "basic" };

describe("the metadata of a denial", () => {
  const { route } = ALLOWED;

  test.each<readonly [what: string, decision: Decision, members: PlainObject]>([
    ["has the reason alone if nothing else is known", deny("route_unknown"), { reason: "route_unknown" }],
    [
      "has the key and the route, and no scopes",
      deny("scope_missing", { principal: PRINCIPAL, route, requiredScopes: ["a"] }),
      { reason: "scope_missing", route: "chat", ...KEY },
    ],
    [
      "has the tokens left",
      deny("rate_limited", { route, rates: RATES }),
      { reason: "rate_limited", route: "chat", remaining: 0 },
    ],
    ["has no tokens without a limit", deny("internal", { rates: [] }), { reason: "internal" }],
  ])("%s", (_what, decision, members) => {
    const { dynamic_metadata: metadata } = toCheckResponse(decision, contextWith());
    expect(metadata).toEqual(toStruct({ decision_id: "d", ...members }));
  });
});

describe("in shadow mode", () => {
  const shadow = (decision: Decision, context = contextWith()) =>
    asAllow(toCheckResponse(decision, context, "shadow", { issue: () => "ticket" }));
  const names = ["key-id", "family", "owner", "role", "scopes", "name", "decision-id"].flatMap((name) => [
    `x-latchkey-${name}`,
    `x_latchkey_${name.replaceAll("-", "_")}`,
  ]);

  test.each([
    ["an allow", ALLOWED],
    ["a denial", deny("credential_invalid")],
  ])("%s lets the request through with its credential, and with no identity", (_what, decision) => {
    const spoofed = { "x-latchkey-role": "admin", "x-latchkey-new": "1", "x-other": "1", cookie: "key=1" };
    const context = contextWith({ credentialSources: ["authorization", "cookie:key"] }, spoofed);
    const { status, ok_response: ok } = shadow(decision, context);
    expect(status).toEqual({ code: 0 });
    expect(ok).toEqual({ headers_to_remove: [...names, "x-latchkey-new"] });
  });

  test("a malformed request, whose headers are unknown, has no identity either", () => {
    const { ok_response: ok } = shadow(deny("request_malformed"), contextWith({ request: undefined }));
    expect(ok).toEqual({ headers_to_remove: names });
  });

  const route = "chat";
  const charge = { mode: "enforce", route, units: ["tokens"] } as const;
  test.each<readonly [what: string, decision: Decision, members: PlainObject]>([
    ["a denial", deny("credential_invalid"), { reason: "credential_invalid" }],
    ["an allow", ALLOWED, { reason: "allowed", route, ...KEY, scopes: ["a"] }],
    [
      "an allow that may be charged",
      { ...ALLOWED, charge },
      { reason: "allowed", route, ...KEY, scopes: ["a"], charge: "ticket" },
    ],
    ["an allow of a public route", PUBLIC_ALLOW, { reason: "allowed", route }],
  ])("the metadata of %s says what would have been decided", (_what, decision, members) => {
    const { dynamic_metadata: metadata } = shadow(decision);
    expect(metadata).toEqual(toStruct({ decision_id: "d", ...members, mode: "shadow" }));
  });
});
