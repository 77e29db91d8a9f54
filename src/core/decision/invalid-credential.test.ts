import { expect, test } from "vitest";
import type { Situation } from "../../../test/support/decided.ts";
import { decided, get, HOLDER } from "../../../test/support/decided.ts";
import type { BucketDemand, TakeOutcome } from "../limits/ports.ts";
import type { Trace } from "./trace.ts";

const POLICY = `
roles: { basic: { scopes: [read], ttl: 1d, refresh_window: 1h } }
routes: [{ path: /read, scopes: [read] }, { path: /trial, scopes: [read], mode: shadow }]
guards: { failures: 30/m }
`;
const REJECTED = {
  ok: false,
  reason: "credential_invalid",
  rejection: { cause: "key_unknown", issuer: "corp" },
} as const;
const LIMITED: TakeOutcome = { ok: false, reason: "rate_limited", retryAfterSeconds: 7, rates: [] };

/** The decision on a credential, its last step, and what was counted. */
async function decision(
  verified: Situation["verified"],
  { path = "/read", address = "192.0.2.9", taken = { ok: true, rates: [] } as TakeOutcome } = {},
) {
  const counted: { readonly demands: readonly BucketDemand[]; readonly cost: number }[] = [];
  const steps: string[] = [];
  const trace: Trace = (step, observed, outcome) => steps.push(`${step}: ${observed} → ${outcome}`);
  const failures = {
    take(demands: readonly BucketDemand[], cost: number) {
      counted.push({ demands, cost });
      return taken;
    },
  };
  const situation = { policy: POLICY, trace, ports: { failures }, ...(verified && { verified }) };
  return { made: await decided(get(path, { address }), situation), last: steps.at(-1), counted };
}

test("an invalid credential takes one token of its address, and the cause is for operators", async () => {
  const { made, last, counted } = await decision(REJECTED);
  expect(made).toEqual({
    verdict: "deny",
    reason: "credential_invalid",
    route: expect.objectContaining({ pattern: "/read" }),
    rejection: REJECTED.rejection,
  });
  expect(last).toBe("key: a token of the issuer corp: no key has its kid (key_unknown) → credential_invalid");
  expect(counted).toEqual([
    {
      demands: [
        {
          bucketId: "enforce:192.0.2.9",
          limit: { name: "failures", per: "address", leased: false, capacity: 30, refillPerSecond: 0.5 },
        },
      ],
      cost: 1,
    },
  ]);
});

test("beyond the limit of the address the reason is the same for every invalid credential", async () => {
  const { made, last } = await decision(REJECTED, { taken: LIMITED });
  expect(made).toEqual({
    verdict: "deny",
    reason: "too_many_failures",
    route: expect.objectContaining({ pattern: "/read" }),
    rejection: REJECTED.rejection,
    retryAfterSeconds: 7,
  });
  expect(last).toMatch(/^key: .*\(key_unknown\); too many from this address → too_many_failures$/);
});

test.each([
  [
    "a route in shadow mode counts apart, so that a trial takes nothing from it",
    { path: "/trial" },
    "shadow:192.0.2.9",
  ],
  ["a request without a route counts in the mode of the policy", { path: "/nothing" }, "enforce:192.0.2.9"],
  [
    "all addresses of an IPv6 customer count together",
    { address: "2001:db8:0:1::9" },
    "enforce:2001:db8:0:1::/64",
  ],
])("%s", async (_what, more, bucketId) => {
  const { counted } = await decision(REJECTED, more);
  expect(counted.map(({ demands }) => demands.map((demand) => demand.bucketId))).toEqual([[bucketId]]);
});

test("a rejection without a cause adds none to the denial", async () => {
  const { made } = await decision({ ok: false, reason: "credential_invalid" });
  expect(made).toMatchObject({ reason: "credential_invalid" });
  expect(made).not.toHaveProperty("rejection");
});

test.each<readonly [verified: NonNullable<Situation["verified"]>, last: string]>([
  [{ ok: false, reason: "key_expired", principal: HOLDER }, "key: a key → key_expired"],
  [
    { ok: false, reason: "credential_unavailable", rejection: { cause: "keys_unavailable" } },
    "key: an invalid key: the keys of its issuer are not available (keys_unavailable) → credential_unavailable",
  ],
])("%j is no guess, so it is not counted, even beyond the limit", async (verified, last) => {
  const { made, last: step, counted } = await decision(verified, { taken: LIMITED });
  expect(made).toMatchObject({ verdict: "deny", reason: verified.ok || verified.reason });
  expect(step).toBe(last);
  expect(counted).toEqual([]);
});
