import fc from "fast-check";
import { expect, test } from "vitest";
import type { AuthorizePorts } from "../core/decision/authorize.ts";
import { createAuthorize } from "../core/decision/authorize.ts";
import { deny } from "../core/decision/decision.ts";
import { normalisePath } from "../core/decision/path.ts";
import type { Verification } from "../core/decision/ports.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import type { Policy } from "../core/policy/policy.ts";
import { parsePolicy } from "../policy/file.ts";
import type { PastRequest } from "./replay.ts";
import { createReplay, readPastRequest } from "./replay.ts";
import { requestFields } from "./request.ts";

const ROLES = `
roles:
  basic: { scopes: [chat:read], ttl: 7d, refresh_window: 1d, rate_limits: [{ name: l, per: key, capacity: 60, refill: 1/s }] }
  pro: { scopes: [chat:read, chat:write], ttl: 7d, refresh_window: 1d }
`;
const CHAT = "routes:\n  - { path: /v1/chat/**, methods: [GET], scopes: [chat:read] }\n";
const POLICIES = {
  narrow: `${ROLES}${CHAT}`,
  wide: `${ROLES}${CHAT}  - { path: /v1/chat/**, methods: [POST], scopes: [chat:write], cost: 0 }\n  - { path: /public/**, public: true }\n`,
  open: `${ROLES}${CHAT}  - { path: /**, public: true }\n`,
  strict: `${ROLES}${CHAT}headers: { require_https: true }\ndefaults: { mode: shadow }\n`,
  loose: `roles:\n  pro: { scopes: [chat:read], ttl: 7d, refresh_window: 1d }\n${CHAT}requests: { path_params: strip, preflights: allow }\nfaults: { limits: local, revocations: { then: serve } }\n`,
};

function policyOf(text: string): Policy {
  const parsed = parsePolicy({ text, fileName: "p.yaml" });
  if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
  return parsed.policy;
}
const policies = Object.values(POLICIES).map(policyOf);

/** What was at the time: the key that was sent, and the state of things. */
interface World {
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
    ...(name.endsWith("address_not_allowed") && { nets: ["10.0.0.0/8"] }),
    ...(name.endsWith("certificate_mismatch") && { certificate: "another" }),
  };
}

function verify(token: string): Verification {
  if (token === "bad") return { ok: false, reason: "credential_invalid" };
  if (token === "down") return { ok: false, reason: "credential_unavailable" };
  if (token === "old") return { ok: false, reason: "key_expired", principal: principal("basic", "old") };
  return { ok: true, principal: principal(token.startsWith("pro") ? "pro" : "basic", token) };
}

function portsOf(policy: Policy, world: World): AuthorizePorts {
  const refused = { ok: false, retryAfterSeconds: 1, rates: [] } as const;
  return {
    policy: () => policy,
    verifier: { verify },
    view: {
      endReason: ({ name }) =>
        (["key_revoked", "key_disabled", "key_superseded"] as const).find((end) => name.endsWith(end)),
    },
    migration: { state: () => ({ phase: "silent", chosen: false, version: 0 }) },
    stalenessMs: () => (world.stale ? 1e12 : 0),
    buckets: {
      take: (demands, cost) =>
        world.limits === "fine" || demands.length === 0 || cost === 0
          ? { ok: true, rates: [] }
          : { ...refused, reason: world.limits },
    },
    failures: {
      take: () => (world.guessing ? { ...refused, reason: "rate_limited" } : { ok: true, rates: [] }),
    },
    clientAddress: ({ peerAddress }) => peerAddress,
  };
}

type Target = Omit<AuthRequest, "path"> & { readonly target: string };

async function decided(policy: Policy, world: World, { target, ...rest }: Target) {
  const path = normalisePath(target, policy.pathParams);
  if (!path.ok) return { decision: deny("request_malformed"), unread: { ...rest, rawPath: target } };
  const request = { ...rest, path: path.value };
  return { decision: await createAuthorize(portsOf(policy, world))(request, 1_700_000_000_000), request };
}

/** What the audit log would tell of it, as it stands there. */
async function lineOf(policy: Policy, world: World, target: Target): Promise<PastRequest> {
  const { decision, ...seen } = await decided(policy, world, target);
  const mode = decision.route?.mode ?? policy.mode;
  const about = { decisionId: "d", elapsedNs: 0n, mode, request: undefined, unread: undefined, ...seen };
  const fields = requestFields(decision, about, ({ peerAddress }) => peerAddress);
  const line: unknown = JSON.parse(JSON.stringify({ time: "2027-01-01T00:00:00.000Z", ...fields }));
  return readPastRequest(line) ?? expect.fail("the line can be read");
}

const worlds: fc.Arbitrary<World> = fc.record({
  key: fc.constantFrom(
    "none",
    "two",
    "bad",
    "down",
    "old",
    "basic",
    "pro",
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

test("what is told is what the policy would have decided; under the same policy nothing changes", async () => {
  const told = { yes: 0, no: 0 };
  const asked = worlds.chain((world) => fc.record({ world: fc.constant(world), target: targets(world.key) }));
  const both = fc.constantFrom(...policies);
  await fc.assert(
    fc.asyncProperty(asked, both, both, async ({ world, target }, then, now) => {
      const past = await lineOf(then, world, target);
      const replayed = await createReplay(now)(past);
      told[replayed.determined ? "yes" : "no"]++;
      if (!replayed.determined) return;
      // Params that were stripped then are not in the log: the report says so.
      if (then.pathParams === "strip" && now.pathParams === "reject" && target.target.includes(";")) return;
      const { decision } = await decided(now, world, target);
      // A state of the limits that nobody asked about then is not told: the report says so.
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
  expect(told.yes / (told.yes + told.no)).toBeGreaterThan(0.6);
});
