import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import { createAuthorize } from "../core/decision/authorize.ts";
import { deny } from "../core/decision/decision.ts";
import { normalisePath } from "../core/decision/path.ts";
import type { Verification } from "../core/decision/ports.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import type { AuthorizePorts } from "../core/decision/request-context.ts";
import { NO_OVERRIDES } from "../core/overrides/override-view.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { PastRequest } from "./replay.ts";
import { createReplay, readPastRequest } from "./replay.ts";
import { requestFields } from "./request.ts";

const ROLES = `
roles:
  basic: { scopes: [chat:read], ttl: 7d, refresh_window: 1d, rate_limits: [{ name: l, per: key, capacity: 60, refill: 1/s }] }
  pro: { scopes: [chat:read, chat:write], ttl: 7d, refresh_window: 1d }
`;
const CHAT = "routes:\n  - { path: /v1/chat/**, methods: [GET], scopes: [chat:read] }\n";
const PLANS = `
plans:
  small: { rate_limits: [{ name: l, per: key, capacity: 5, refill: 1/s }] }
  large: { rate_limits: [{ name: l, per: key, capacity: 100, refill: 1/s }] }
  endless: { rate_limits: [] }
`;
const POLICIES = {
  narrow: `${ROLES}${CHAT}`,
  wide: `${ROLES}${CHAT}  - { path: /v1/chat/**, methods: [POST], scopes: [chat:write], cost: 0 }\n  - { path: /public/**, public: true }\n`,
  open: `${ROLES}${CHAT}  - { path: /**, public: true }\n`,
  planned: `${PLANS}${ROLES}${CHAT}`,
  fewer: `${PLANS.split("  large:")[0]}${ROLES}${CHAT}  - { path: /v1/chat/**, methods: [POST], scopes: [chat:write], cost: 6 }\n`,
  strict: `${ROLES}${CHAT}headers: { require_https: true }\ndefaults: { mode: shadow }\n`,
  loose: `roles:\n  pro: { scopes: [chat:read], ttl: 7d, refresh_window: 1d }\n${CHAT}requests: { path_params: strip, preflights: allow }\nfaults: { limits: local, revocations: { then: serve } }\n`,
};

const policies = Object.values(POLICIES).map(parsedPolicy);

/** The key of the past request, and the state of the instance at that time. */
interface PastState {
  readonly key: string;
  readonly stale: boolean;
  readonly limits: "rate_limited" | "limits_unavailable" | "fine";
  readonly guessing: boolean;
}

function principal(role: string, name: string) {
  const ends = { issuedAt: 0, expiresAt: 2e9, refreshAfter: 2e9 };
  return {
    keyId: `${role}_0_${name}`,
    family: `fam_${name}`,
    role,
    scopes: ["chat:read", "chat:write"],
    name,
    ...ends,
    ...planIn(name),
    ...(name.endsWith("address_not_allowed") && { nets: ["10.0.0.0/8"] }),
    ...(name.endsWith("certificate_mismatch") && { certificate: "another" }),
  };
}

/** The plan of a key such as `basic_plan_small`. */
function planIn(name: string): { readonly plan?: string } {
  const plan = /_plan_(\w+)$/.exec(name)?.[1];
  return plan === undefined ? {} : { plan };
}

function verify(token: string): Verification {
  if (token === "bad") return { ok: false, reason: "credential_invalid" };
  if (token === "down") return { ok: false, reason: "credential_unavailable" };
  if (token === "old") return { ok: false, reason: "key_expired", principal: principal("basic", "old") };
  return { ok: true, principal: principal(token.startsWith("pro") ? "pro" : "basic", token) };
}

function portsOf(policy: Policy, state: PastState): AuthorizePorts {
  const denied = { ok: false, retryAfterSeconds: 1, rates: [] } as const;
  return {
    policy: () => policy,
    verifier: { verify },
    view: {
      endReason: ({ name }) =>
        (["key_revoked", "key_disabled", "key_superseded"] as const).find((end) => name.endsWith(end)),
    },
    migration: { state: () => ({ phase: "silent", chosen: false, version: 0 }) },
    stalenessMs: () => (state.stale ? 1e12 : 0),
    overrides: NO_OVERRIDES,
    buckets: {
      take: (demands, cost) =>
        state.limits === "fine" || demands.length === 0 || cost === 0
          ? { ok: true, rates: [] }
          : { ...denied, reason: state.limits },
    },
    failures: {
      take: () => (state.guessing ? { ...denied, reason: "rate_limited" } : { ok: true, rates: [] }),
    },
    clientAddress: ({ peerAddress }) => peerAddress,
  };
}

type Target = Omit<AuthRequest, "path"> & { readonly target: string };

async function decided(policy: Policy, state: PastState, { target, ...rest }: Target) {
  const path = normalisePath(target, policy.pathParams);
  if (!path.ok) return { decision: deny("request_malformed"), unread: { ...rest, rawPath: target } };
  const request = { ...rest, path: path.value };
  return { decision: await createAuthorize(portsOf(policy, state))(request, 1_700_000_000_000), request };
}

/** The audit line of the request. */
async function lineOf(policy: Policy, state: PastState, target: Target): Promise<PastRequest> {
  const { decision, ...seen } = await decided(policy, state, target);
  const mode = decision.route?.mode ?? policy.mode;
  const about = {
    decisionId: "d",
    operation: "o",
    elapsedNs: 0n,
    mode,
    request: undefined,
    unread: undefined,
    ...seen,
  };
  const fields = requestFields(decision, about, ({ peerAddress }) => peerAddress);
  const line: unknown = JSON.parse(JSON.stringify({ time: "2027-01-01T00:00:00.000Z", ...fields }));
  return readPastRequest(line) ?? expect.fail("the line can be read");
}

const pastStates: fc.Arbitrary<PastState> = fc.record({
  key: fc.constantFrom(
    "none",
    "two",
    "bad",
    "down",
    "old",
    "basic",
    "pro",
    "basic_plan_small",
    "basic_plan_large",
    "basic_plan_endless",
    "pro_plan_unknown",
    "basic_key_revoked",
    "pro_key_disabled",
    "pro_key_superseded",
    "pro_address_not_allowed",
    "basic_certificate_mismatch",
  ),
  stale: fc.boolean(),
  limits: fc.constantFrom("rate_limited", "limits_unavailable", "fine", "fine"),
  guessing: fc.boolean(),
});

const targets = (key: string): fc.Arbitrary<Target> =>
  fc.record({
    method: fc.constantFrom("GET", "POST", "OPTIONS"),
    host: fc.constant("api.example.com"),
    scheme: fc.constantFrom("http", "https"),
    target: fc.constantFrom(
      "/v1/chat/x",
      "/v1/chat/x;p=1",
      "/public/x",
      "/elsewhere",
      "/a//b",
      "/v1/chat/x?token=secret",
    ),
    headers: fc
      .constantFrom(
        [],
        [
          ["origin", ["https://a"]],
          ["access-control-request-method", ["GET"]],
        ],
      )
      .map((more) => {
        const credential = { none: [], two: [["authorization", ["Bearer a,Bearer b"]]] }[key] ?? [
          ["authorization", [`Bearer ${key}`]],
        ];
        return new Map([...more, ...credential] as [string, string[]][]);
      }),
    peerAddress: fc.constant("192.0.2.7"),
    certificate: fc.constant(() => undefined),
    extensions: fc.constantFrom(
      new Map(),
      new Map([["scopes", "chat:write"]]),
      new Map([["cost", "61"]]),
      new Map([["cost", "x"]]),
    ),
    grpc: fc.constant(false),
  });

describe("the plan of a key, where it decides", () => {
  const capacities = `
plans:
  small: { rate_limits: [{ name: l, per: key, capacity: 5, refill: 1/s }] }
  large: { rate_limits: [{ name: l, per: key, capacity: 100, refill: 1/s }] }
roles:
  basic: { scopes: [chat:read], ttl: 7d, refresh_window: 1d, rate_limits: [{ name: l, per: key, capacity: 60, refill: 1/s }] }
issuers:
  - { name: corp, issuer: i, jwks_uri: "https://i/k", audience: api, roles: [basic], claims: { plan: p }, plans: [large] }
`;
  const replay = (cost: number) =>
    createReplay(parsedPolicy(`${capacities}routes: [{ path: /**, scopes: [chat:read], cost: ${cost} }]\n`));
  const line = (more: object) =>
    readPastRequest({
      time: "2027-01-01T00:00:00.000Z",
      reason: "allowed",
      mode: "enforce",
      key_id: "basic_1_x",
      family: "fam_x",
      role: "basic",
      scopes: ["chat:read"],
      method: "GET",
      path: "/a",
      scheme: "https",
      host: "h",
      extensions: { cost: "50" },
      ...more,
    }) ?? expect.fail("the line can be read");
  const undetermined = { determined: false, why: "the log does not show the plan of the key" };

  test.each<readonly [what: string, more: object, expected: object]>([
    ["a line without a plan: the role's own limits", { plan: null }, { wouldBe: "allowed" }],
    ["a line with a plan", { plan: "small" }, { wouldBe: "request_malformed" }],
    ["a line with a plan that this policy does not have", { plan: "gone" }, { wouldBe: "allowed" }],
    ["a line of an older version", {}, undetermined],
    [
      "a line of an older version, with a cost that every plan admits",
      { extensions: {} },
      { wouldBe: "allowed" },
    ],
    [
      "a line of an older version, with a cost that only the largest plan admits",
      { extensions: { cost: "61" } },
      undetermined,
    ],
    [
      "a line of an older version, with a cost that no plan and no role admits",
      { extensions: { cost: "101" } },
      { wouldBe: "request_malformed" },
    ],
    [
      "an override whose plan admits it",
      { plan: "small", override_plan: "large", extensions: { cost: "61" } },
      { wouldBe: "allowed" },
    ],
    [
      "an override whose plan does not admit it",
      { plan: "large", override_plan: "small", extensions: { cost: "61" } },
      { wouldBe: "request_malformed" },
    ],
    [
      "a token of another issuer, whose plans all admit it",
      { key_id: "corp:t", plan: null },
      { wouldBe: "allowed" },
    ],
    [
      "a token of another issuer without a plan in the line, where a plan of its list decides",
      { key_id: "corp:t", plan: null, extensions: { cost: "61" } },
      undetermined,
    ],
    [
      "a token of another issuer with a plan outside the issuer's list, where a plan of the list decides",
      { key_id: "corp:t", plan: "small", extensions: { cost: "61" } },
      undetermined,
    ],
    [
      "no key",
      { role: undefined, key_id: undefined, reason: "credential_missing" },
      { wouldBe: "credential_missing" },
    ],
  ])("%s", async (_what, more, expected) => {
    expect(await replay(1)(line(more))).toMatchObject(expected);
  });

  test("the line of a Check shows the plan of its key, or that the key has none", async () => {
    const state = { key: "", stale: false, limits: "fine", guessing: false } as const;
    const planOf = async (key: string) => {
      const headers = new Map(
        key === "none" ? [] : ([["authorization", [`Bearer ${key}`]]] as [string, string[]][]),
      );
      const target: Target = {
        method: "GET",
        host: "api.example.com",
        scheme: "https",
        target: "/v1/chat/x",
        headers,
        peerAddress: "192.0.2.7",
        certificate: () => undefined,
        extensions: new Map(),
        grpc: false,
      };
      return (await lineOf(parsedPolicy(POLICIES.planned), state, target)).plan;
    };
    expect(await planOf("basic_plan_small")).toBe("small");
    expect(await planOf("basic")).toBeNull();
    expect(await planOf("none")).toBeUndefined();
  });
});

test("a determined replay is what the policy would have decided, and under the same policy nothing changes", async () => {
  const count = { determined: 0, undetermined: 0 };
  const pasts = pastStates.chain((state) =>
    fc.record({ state: fc.constant(state), target: targets(state.key) }),
  );
  const both = fc.constantFrom(...policies);
  await fc.assert(
    fc.asyncProperty(pasts, both, both, async ({ state, target }, then, now) => {
      const past = await lineOf(then, state, target);
      const replayed = await createReplay(now)(past);
      count[replayed.determined ? "determined" : "undetermined"]++;
      if (!replayed.determined) return;
      // The log does not contain params that were stripped then, as the report says.
      if (then.pathParams === "strip" && now.pathParams === "reject" && target.target.includes(";")) return;
      const { decision } = await decided(now, state, target);
      // The log does not contain the state of limits that were not used then, as the report says.
      if (decision.reason === "rate_limited" || decision.reason === "limits_unavailable") {
        expect([decision.reason, "allowed"]).toContain(replayed.wouldBe.split(" ")[0]);
        return;
      }
      if (decision.reason !== "revocations_stale" && decision.reason !== "too_many_failures")
        expect(replayed.wouldBe.split(" ")[0]).toBe(decision.reason);
      if (then === now) expect(replayed.wouldBe).toBe(replayed.was);
    }),
    { numRuns: 3000 },
  );
  expect(count.determined / (count.determined + count.undetermined)).toBeGreaterThan(0.6);
});
