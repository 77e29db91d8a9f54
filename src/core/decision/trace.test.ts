import { describe, expect, test } from "vitest";
import { HOLDER } from "../../../test/support/decided.ts";
import { PLAIN_ROUTE } from "../../../test/support/route.ts";
import type { Quota, RateLimit } from "../policy/policy.ts";
import type { Route } from "../policy/route-table.ts";
import {
  describeBinding,
  describeCost,
  describeKey,
  describeLimitList,
  describeLimits,
  describeRejection,
  describeRequest,
  describeRoute,
  describeScopes,
} from "./trace.ts";

test("a request is described without its query, which may contain a key", () => {
  const request = {
    method: "GET",
    scheme: "https",
    host: "api.example.com",
    path: { path: "/a/b", segments: ["a", "b"], query: "api_key=secret" },
  };
  expect(describeRequest(request)).toBe("GET https://api.example.com/a/b");
});

test.each<readonly [what: string, more: Partial<Route>, described: string]>([
  ["without a name", {}, "/a/*, cost 1"],
  ["with a name", { label: "items" }, "items (/a/*), cost 1"],
  ["with scopes", { scopes: ["read", "list"] }, "/a/*, needs read list, cost 1"],
  ["with one of several scopes", { anyScope: ["read", "admin"] }, "/a/*, needs one of read admin, cost 1"],
  ["in shadow mode", { mode: "shadow" }, "/a/*, cost 1, shadow: every decision lets the request through"],
])("a route %s", (_what, more, described) => {
  expect(describeRoute({ ...PLAIN_ROUTE, pattern: "/a/*", label: "/a/*", ...more })).toBe(described);
});

test("a request that no route matches", () => {
  expect(describeRoute(undefined)).toBe("no route of the policy");
});

test.each<readonly [more: Partial<Route>, described: string]>([
  [{ cost: 0 }, "cost 0"],
  [{ charges: ["tokens", "bytes"] }, "cost 1, charges tokens bytes after the response"],
  [
    { charges: ["tokens"], reserve: { unit: "tokens", amount: 7 } },
    "cost 1, reserves 7 tokens, charges tokens after the response",
  ],
])("what a route takes: %j", (more, described) => {
  expect(describeCost({ ...PLAIN_ROUTE, ...more })).toBe(described);
});

test("a key is described by its owner, or else by its family", () => {
  expect(describeKey(HOLDER)).toBe("k1, role basic, family f1");
  expect(describeKey({ ...HOLDER, owner: "acme" })).toBe("k1, role basic, owner acme");
});

describe("a rejected credential", () => {
  const [cause, why] = ["key_unknown", "no key has its kid"] as const;

  test("is described by the cause, and by its issuer if it has one", () => {
    expect(describeRejection({ cause })).toBe(`an invalid key: ${why} (${cause})`);
    expect(describeRejection({ cause, issuer: "corp" })).toBe(
      `a token of the issuer corp: ${why} (${cause})`,
    );
  });

  test("without a cause is just a key", () => {
    expect(describeRejection(undefined)).toBe("a key");
  });
});

test("a binding is described by the networks and the certificate that it has", () => {
  const nets = ["192.0.2.0/24", "2001:db8::/32"];
  expect(describeBinding({ ...HOLDER, nets })).toBe("192.0.2.0/24, 2001:db8::/32");
  expect(describeBinding({ ...HOLDER, certificate: "t" })).toBe("certificate t");
  expect(describeBinding({ ...HOLDER, nets, certificate: "t" })).toBe(
    "192.0.2.0/24, 2001:db8::/32, certificate t",
  );
});

test("granted scopes, or their absence", () => {
  expect(describeScopes(["read", "write"])).toBe("read write");
  expect(describeScopes([])).toBe("no scope that its role still has");
});

test("the limits that apply, or their absence", () => {
  const burst: RateLimit = { name: "burst", per: "key", leased: true, capacity: 5, refillPerSecond: 1 };
  const quota: Quota = {
    ...{ name: "monthly", per: "owner", limit: 100, every: "month", timeZone: "UTC", unit: "tokens" },
  };
  expect(describeLimitList({ bucketPrefix: "p", rateLimits: [burst], quotas: [quota] })).toBe(
    "burst: 5 per key, monthly: 100 tokens per owner and month",
  );
  expect(describeLimitList({ bucketPrefix: "p", rateLimits: [], quotas: [] })).toBe("no limits");
});

test("what is left of each limit, or the absence of limits", () => {
  const left = (name: string, remaining: number) => ({ name, capacity: 5, windowSeconds: 5, remaining });
  expect(describeLimits([left("burst", 1), left("daily", 0)])).toBe("burst: 1 of 5, daily: 0 of 5");
  expect(describeLimits([])).toBe("no limits");
});
