import { describe, expect, test } from "vitest";
import type { Situation } from "../../../test/support/decided.ts";
import { DEPRECATED_AT, decided, get, HOLDER } from "../../../test/support/decided.ts";
import type { DescribedRequest } from "./described-request.ts";
import type { Principal } from "./principal.ts";
import type { AuthorizePorts } from "./request-context.ts";
import type { Trace } from "./trace.ts";

const V1: Principal = { ...HOLDER, legacy: {} };
const POLICY = `
roles:
  basic: { scopes: [read], ttl: 1d, refresh_window: 1h }
  wide: { scopes: [read, write], ttl: 1d, refresh_window: 1h }
routes:
  - { path: /read, scopes: [read], cost: 2 }
  - { path: /write, scopes: [write] }
  - { path: /public, public: true }
migration: { phase: deprecated }
`;

function decide(described: DescribedRequest, { policy = "", ...situation }: Partial<Situation> = {}) {
  return decided(described, { ...situation, policy: `${POLICY}${policy}` });
}

test("a caller without a valid key does not learn which routes exist", async () => {
  const invalid: Partial<Situation> = { verified: { ok: false, reason: "credential_invalid" } };
  for (const path of ["/read", "/nothing"]) {
    expect(await decide(get(path, { key: undefined }))).toMatchObject({ reason: "credential_missing" });
    expect(await decide(get(path), invalid)).toMatchObject({ reason: "credential_invalid" });
    const two = { headers: { authorization: ["Bearer a", "Bearer b"] }, key: undefined };
    expect(await decide(get(path, two))).toMatchObject({ reason: "credential_ambiguous" });
  }
  expect(await decide(get("/nothing"))).toMatchObject({ reason: "route_unknown", principal: HOLDER });
});

describe("failed credentials of one address are counted", () => {
  const counting = (verified: Situation["verified"]) => {
    const counted: string[] = [];
    const failures: AuthorizePorts["failures"] = {
      take(demands) {
        counted.push(...demands.map(({ bucketId }) => bucketId));
        return counted.length > 1
          ? { ok: false, reason: "rate_limited", retryAfterSeconds: 7, rates: [] }
          : { ok: true, rates: [] };
      },
    };
    const situation = { ...(verified && { verified }), ports: { failures } };
    return { counted, attempt: () => decide(get("/read", { address: "192.0.2.9" }), situation) };
  };

  test("beyond the limit the reason says so, and nothing about the credential", async () => {
    const { counted, attempt } = counting({ ok: false, reason: "credential_invalid" });
    expect(await attempt()).toMatchObject({ reason: "credential_invalid" });
    expect(await attempt()).toMatchObject({ reason: "too_many_failures", retryAfterSeconds: 7 });
    expect(counted).toEqual(["enforce:192.0.2.9", "enforce:192.0.2.9"]);
  });

  test.each<NonNullable<Situation["verified"]>>([
    { ok: false, reason: "key_expired", principal: HOLDER },
    { ok: false, reason: "credential_unavailable" },
    { ok: true, principal: HOLDER },
  ])("%j does not count", async (verified) => {
    const { counted, attempt } = counting(verified);
    await attempt();
    expect(counted).toEqual([]);
  });
});

test("a key gets the scopes that its role still has, and a route denies what they do not cover", async () => {
  expect(await decide(get("/read"))).toMatchObject({ verdict: "allow", principal: HOLDER, scopes: ["read"] });
  expect(await decide(get("/write"))).toMatchObject({
    reason: "scope_missing",
    principal: HOLDER,
    requiredScopes: ["write"],
  });
});

test("a public route needs no key, and grants and takes nothing", async () => {
  const store = { take: () => expect.unreachable() };
  const decision = await decide(get("/public", { key: undefined }), { ports: { buckets: store } });
  expect(decision).toEqual({
    verdict: "allow",
    reason: "allowed",
    route: expect.objectContaining({ pattern: "/public" }),
    scopes: [],
    rates: [],
    refreshDue: false,
  });
});

describe("require_https", () => {
  const https: Partial<Situation> = { policy: "headers: { require_https: true }" };

  test("a key over http is denied before it is verified", async () => {
    const unverified: Partial<Situation> = {
      ...https,
      ports: { verifier: { verify: () => expect.unreachable() } },
    };
    expect(await decide(get("/read", { scheme: "http" }), unverified)).toMatchObject({
      reason: "https_required",
    });
    expect(await decide(get("/read", { scheme: "https" }), https)).toMatchObject({ verdict: "allow" });
  });

  test("without it both schemes are accepted, and with it a public route stays public", async () => {
    expect(await decide(get("/read", { scheme: "http" }))).toMatchObject({ verdict: "allow" });
    const open = get("/public", { scheme: "http", key: undefined });
    expect(await decide(open, https)).toMatchObject({ verdict: "allow" });
  });
});

describe("a CORS preflight", () => {
  const headers = { origin: "https://a.test", "access-control-request-method": "GET" };
  const preflight = get("/read", { method: "OPTIONS", headers, key: undefined });
  const allow: Partial<Situation> = { policy: "requests: { preflights: allow }" };

  test("needs no key only if the policy says so", async () => {
    expect(await decide(preflight)).toMatchObject({ reason: "credential_missing" });
    expect(await decide(preflight, allow)).toMatchObject({ verdict: "allow", scopes: [], rates: [] });
  });

  test.each<readonly [what: string, request: DescribedRequest]>([
    ["another method", { ...preflight, method: "GET" }],
    ["no origin", { ...preflight, headers: { "access-control-request-method": "GET" } }],
    ["no requested method", { ...preflight, headers: { origin: "https://a.test" } }],
  ])("a request with %s is not a preflight", async (_what, request) => {
    expect(await decide(request, allow)).toMatchObject({ reason: "credential_missing" });
  });
});

describe("context_extensions only narrow a route", () => {
  test("scopes on a public route require a key that has them", async () => {
    const extensions = { scopes: "read" };
    const open = get("/public", { extensions, key: undefined });
    expect(await decide(open)).toMatchObject({ reason: "credential_missing" });
    expect(await decide(get("/public", { extensions }))).toMatchObject({ verdict: "allow" });
    expect(await decide(get("/read", { extensions: { scopes: "write" } }))).toMatchObject({
      reason: "scope_missing",
      requiredScopes: ["read", "write"],
    });
  });

  test("the higher cost counts", async () => {
    const costs: number[] = [];
    const buckets: AuthorizePorts["buckets"] = {
      take(_buckets, cost) {
        costs.push(cost);
        return { ok: true, rates: [] };
      },
    };
    for (const cost of ["1", "2", "7"])
      await decide(get("/read", { extensions: { cost } }), { ports: { buckets } });
    expect(costs).toEqual([2, 2, 7]);
  });

  test.each([
    { cost: "-1" },
    { cost: "" },
    { cost: "1e9" },
    { cost: "1234567890" },
    { scopes: "" },
    { scopes: "a  b" },
  ])("%j cannot be read, so the request is denied with any key or none", async (extensions) => {
    for (const path of ["/read", "/public"])
      expect(await decide(get(path, { extensions }))).toMatchObject({ reason: "request_malformed" });
  });
});

test("the holder of a V1 key is notified of its end, unless the key itself is denied", async () => {
  const v1: Partial<Situation> = { verified: { ok: true, principal: V1 } };
  const notice = { deprecatedAt: DEPRECATED_AT };
  expect(await decide(get("/read"), v1)).toMatchObject({ verdict: "allow", notice });
  expect(await decide(get("/write"), v1)).toMatchObject({ reason: "scope_missing", notice });
  expect(await decide(get("/nothing"), v1)).toMatchObject({ reason: "route_unknown", notice });
  const roleIsMissing: Partial<Situation> = { verified: { ok: true, principal: { ...V1, role: "gone" } } };
  expect(await decide(get("/read"), roleIsMissing)).toMatchObject({ reason: "credential_invalid", notice });
  const revoked = await decide(get("/read"), { ...v1, ports: { view: { endReason: () => "key_revoked" } } });
  expect(revoked).toMatchObject({ reason: "key_revoked", principal: V1 });
  expect(revoked).not.toHaveProperty("notice");
  expect(await decide(get("/read"))).not.toHaveProperty("notice");
});

describe("a trace", () => {
  const traced = async (described: DescribedRequest, situation: Partial<Situation> = {}) => {
    const steps: string[] = [];
    const trace: Trace = (step, observed, outcome) => steps.push(`${step}: ${observed} → ${outcome}`);
    await decide(described, { ...situation, trace });
    return steps;
  };
  const request = (path: string) => `request: GET https://localhost${path} → unambiguous`;

  test("has every step of an admitted request, in their order", async () => {
    expect(await traced(get("/read"))).toEqual([
      request("/read"),
      "route: /read, needs read, cost 2 → a key is needed",
      "credential: one key, in authorization → to be verified",
      "key: k1, role basic, family f1 → valid signature, issuer, audience and times",
      "revocation: k1 → neither revoked, disabled nor superseded",
      "scopes: read → sufficient",
      expect.stringMatching(/^limits: .* → cost 2$/),
    ]);
  });

  const HTTPS_ONLY = "headers: { require_https: true }";
  test.each<readonly [last: string, described: DescribedRequest, policy: string]>([
    ["route: /public, cost 1 → public: no key is needed", get("/public"), ""],
    [
      "route: invalid context_extensions → request_malformed",
      get("/read", { extensions: { cost: "x" } }),
      "",
    ],
    ["credential: no key → credential_missing", get("/read", { key: undefined }), ""],
    [
      "credential: several keys, or a malformed one → credential_ambiguous",
      get("/read", { headers: { authorization: "Bearer a" } }),
      "",
    ],
    ["transport: a key over http → https_required", get("/read", { scheme: "http" }), HTTPS_ONLY],
    ["route: no route → route_unknown", get("/nothing"), ""],
    ["scopes: read → scope_missing", get("/write"), ""],
  ])("ends with “%s”", async (last, described, policy) => {
    expect((await traced(described, { policy })).at(-1)).toBe(last);
  });

  test("of a preflight names the rule that admits it", async () => {
    const headers = { origin: "https://a.test", "access-control-request-method": "GET" };
    const policy = "requests: { preflights: allow }";
    const steps = await traced({ method: "OPTIONS", path: "/read", headers }, { policy });
    expect(steps.at(-1)).toBe("route: a CORS preflight → no key is needed, by requests.preflights");
  });
});
