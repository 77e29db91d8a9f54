import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import {
  ALLOWED,
  allowed,
  asAllow,
  contextWith,
  PRINCIPAL,
  PUBLIC_ALLOW,
} from "../../test/support/responses.ts";
import type { CredentialSource } from "../core/decision/credential.ts";
import type { Allow } from "../core/decision/decision.ts";
import { EMPTY, noticeFragment, requestFragment, spoofedHeaders } from "./allow-fragments.ts";
import { toCheckResponse } from "./plain-response.ts";
import { toStruct } from "./struct.ts";

const KEEPING: Allow = { ...ALLOWED, route: { ...ALLOWED.route, stripCredential: false } };
const RATES = [
  { name: "per-role", capacity: 60, windowSeconds: 60, remaining: 9 },
  { name: "per-key", capacity: 10, windowSeconds: 1, remaining: 3 },
  { name: "per-address", capacity: 90, windowSeconds: 1, remaining: 7 },
];

const NAMES = ["key-id", "family", "owner", "role", "scopes", "name", "decision-id"].map(
  (name) => `x-latchkey-${name}`,
);
const VARIANTS = NAMES.map((name) => name.replaceAll("-", "_"));

describe("on every allow each identity header is set or removed, never both", () => {
  const spoofed = {
    "x-latchkey-role": "admin",
    x_latchkey_role: "admin",
    "x-latchkey_role": "admin",
    "x-latchkey-new": "1",
    "x-other": "1",
  };

  test.each([
    ["with a key", ALLOWED],
    ["on a public route", PUBLIC_ALLOW],
  ])("%s", (_what, decision) => {
    const { set, removed } = allowed(decision, contextWith({}, spoofed));
    for (const name of NAMES)
      expect([name, Object.hasOwn(set, name) !== removed.includes(name)]).toEqual([name, true]);
    const unset = NAMES.filter((name) => !Object.hasOwn(set, name));
    expect([...removed].sort()).toEqual(
      [
        ...unset,
        ...VARIANTS,
        "authorization",
        "x-api-key",
        "x_api_key",
        "x-latchkey_role",
        "x-latchkey-new",
      ].sort(),
    );
  });

  test("a header of the client that only resembles one with the prefix stays", () => {
    const others = { "x-latchkey": "1", "y-latchkey-role": "admin", "x-latch-key-role": "1", host: "x" };
    expect(allowed(ALLOWED, contextWith({}, others))).toEqual(allowed(ALLOWED));
  });

  test("a route may keep the credential, and another prefix may be set", () => {
    const context = contextWith({ forwardPrefix: "x-acme-" }, { "x-acme-new": "1", "x-latchkey-new": "1" });
    const { set, removed } = allowed(KEEPING, context);
    expect(removed).toEqual([...VARIANTS.map((name) => name.replace("latchkey", "acme")), "x-acme-new"]);
    expect(set["x-acme-role"]).toBe("basic");
  });

  test("the owner is the family if no owner is set, and the scopes are the effective ones", () => {
    expect(allowed(ALLOWED).set).toEqual({
      "x-latchkey-key-id": "basic_1_x",
      "x-latchkey-family": "fam_x",
      "x-latchkey-owner": "fam_x",
      "x-latchkey-role": "basic",
      "x-latchkey-scopes": "a",
      "x-latchkey-name": "x",
      "x-latchkey-decision-id": "d",
    });
    const owned = { ...ALLOWED, principal: { ...PRINCIPAL, owner: "acme" }, scopes: ["a", "b"] };
    expect(allowed(owned).set).toMatchObject({ "x-latchkey-owner": "acme", "x-latchkey-scopes": "a b" });
  });

  test("no name can break a header, and every name can be decoded again", () => {
    const sentName = (name: string) =>
      allowed({ ...ALLOWED, principal: { ...PRINCIPAL, name } }).set["x-latchkey-name"] ?? "";
    expect(sentName("50% Zoë\r\n")).toBe("50%25 Zo%C3%AB%0D%0A");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (name) => {
        const value = sentName(name);
        expect(value).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeURIComponent(value)).toBe(name);
      }),
    );
  });

  test("every header is set to replace, in both forms", () => {
    const { ok_response: ok } = asAllow(toCheckResponse({ ...ALLOWED, refreshDue: true }, contextWith()));
    for (const option of [...(ok.headers ?? []), ...(ok.response_headers_to_add ?? [])])
      expect(option).toMatchObject({ append: { value: false }, append_action: 2 });
  });
});

test("thousands of a client's headers with our prefix are found in one pass", () => {
  const names = Array.from({ length: 8000 }, (_, at) => `x_latchkey_${at.toString(36)}`);
  const context = contextWith({}, Object.fromEntries(names.map((name) => [name, ""])));
  const converted = vi.spyOn(String.prototype, "replaceAll");
  const found = spoofedHeaders(context);
  const conversions = converted.mock.calls.length;
  converted.mockRestore();
  expect(found).toEqual(names);
  // Each name once. To build our fourteen names for each of them would take 64,000.
  expect(conversions).toBeLessThan(2 * names.length);
});

describe("a key outside of the credential headers does not reach upstream", () => {
  const credentialSources: readonly CredentialSource[] = ["authorization", "cookie:key", "query:api_key"];
  const before = allowed(ALLOWED, contextWith({ credentialSources }));
  const send = (decision: Allow, cookie: string, query: string) =>
    allowed(decision, contextWith({ credentialSources }, { ...(cookie && { cookie }) }, query));

  test("in a cookie beside others", () => {
    expect(send(ALLOWED, "a=b; key=1", "")).toEqual({ ...before, set: { ...before.set, cookie: "a=b" } });
  });

  test("in the only cookie", () => {
    expect(send(ALLOWED, "key=1", "")).toEqual({ ...before, removed: [...before.removed, "cookie"] });
  });

  test("in a parameter; then no shared cache may store the response either", () => {
    const added = { "cache-control": "private" };
    expect(send(ALLOWED, "", "api_key=1&a=b")).toEqual({ ...before, added, parameters: ["api_key"] });
    const { ok_response: ok } = asAllow(
      toCheckResponse(ALLOWED, contextWith({ credentialSources }, {}, "api_key=1")),
    );
    expect(ok.response_headers_to_add).toMatchObject([{ append: { value: true }, append_action: 0 }]);
  });

  test("unless the route keeps the credential", () => {
    const kept = send(KEEPING, "key=1", "api_key=1");
    expect(kept).toEqual({ ...before, removed: VARIANTS });
  });

  test.each<readonly [what: string, cookie: string, query: string]>([
    ["nothing", "", ""],
    ["other cookies and parameters", "a=b", "a=b"],
  ])("%s: nothing is removed, and no bytes are encoded for the request", (_what, cookie, query) => {
    const context = contextWith({ credentialSources }, { ...(cookie && { cookie }) }, query);
    for (const decision of [ALLOWED, KEEPING]) expect(requestFragment(decision, context)).toBe(EMPTY);
  });
});

describe("the client is notified", () => {
  test("when its key may be refreshed", () => {
    expect(allowed({ ...ALLOWED, refreshDue: true }).added).toEqual({ "x-latchkey-refresh": "due" });
  });

  test("when its key is a V1 key", () => {
    expect(allowed({ ...ALLOWED, notice: {} }).added).toEqual({
      "x-latchkey-upgrade": "v2",
      link: '</api/auth/v2/migrate>; rel="successor-version"',
    });
  });

  test("of its limits, with the older headers only where the policy says so", () => {
    const { added } = allowed({ ...ALLOWED, rates: RATES });
    expect(Object.keys(added)).toEqual(["ratelimit-policy", "ratelimit"]);
    expect(allowed({ ...ALLOWED, rates: RATES }, contextWith({ legacyRateLimit: true })).added).toEqual({
      ...added,
      "x-ratelimit-limit": "10",
      "x-ratelimit-remaining": "3",
      "x-ratelimit-reset": "1",
    });
    expect(allowed({ ...PUBLIC_ALLOW, rates: RATES }).added).toEqual(added);
  });

  test("of nothing else, and then no bytes are encoded for a notice", () => {
    expect(allowed(ALLOWED).added).toEqual({});
    expect(noticeFragment(ALLOWED, contextWith())).toBe(EMPTY);
  });
});

describe("the metadata of an allow", () => {
  const ofEvery = { reason: "allowed", route: "chat", decision_id: "d" };

  test.each<readonly [what: string, decision: Allow, members: object]>([
    [
      "has the key and its effective scopes",
      ALLOWED,
      { key_id: "basic_1_x", family: "fam_x", role: "basic", scopes: ["a"] },
    ],
    ["has no key on a public route", PUBLIC_ALLOW, {}],
    ["has the fewest tokens left", { ...PUBLIC_ALLOW, rates: RATES }, { remaining: 3 }],
  ])("%s", (_what, decision, members) => {
    const { status, dynamic_metadata: metadata } = toCheckResponse(decision, contextWith());
    expect(status).toEqual({ code: 0 });
    expect(metadata).toEqual(toStruct({ ...ofEvery, ...members }));
  });
});
