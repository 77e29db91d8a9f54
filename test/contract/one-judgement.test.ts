import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { keyHolders } from "../../src/api/http/access.ts";
import type { ApiPorts } from "../../src/api/http/calls.ts";
import { endpoint } from "../../src/api/http/endpoint.ts";
import { problemType } from "../../src/api/http/problem.ts";
import type { HttpServer } from "../../src/api/http/server.ts";
import { startHttpServer } from "../../src/api/http/server.ts";
import { introspectRoute } from "../../src/api/keys/introspect-route.ts";
import { createAuthorize } from "../../src/core/decision/authorize.ts";
import type { Reason } from "../../src/core/decision/decision.ts";
import { describedRequest } from "../../src/core/decision/described-request.ts";
import type { Verification } from "../../src/core/decision/ports.ts";
import type { Principal } from "../../src/core/decision/principal.ts";
import { createMigration } from "../../src/core/legacy/migration.ts";
import { NO_OVERRIDES } from "../../src/core/overrides/override-view.ts";
import type { InstanceView } from "../../src/core/revocation/instance-view.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import { createBucketStore } from "../../src/memory/bucket-store.ts";
import { parsedPolicy } from "../support/parsed-policy.ts";

const NOW_MS = 1_800_000_000_000;
const ADMIN_TOKEN = "admin-token-of-this-test";
const POLICY = JSON.stringify({
  roles: { user: { scopes: ["a"], ttl: "1d", refresh_window: "1h" } },
  routes: [{ path: "/a", scopes: ["a"] }],
  guards: { failures: "1000000/s", open_calls: "1000000/s" },
});

/** Everything that may be wrong with one key at the same time. */
interface KeyState {
  readonly verification: "ok" | "credential_invalid" | "credential_unavailable" | "key_expired";
  readonly revocations_stale: boolean;
  readonly key_revoked: boolean;
  readonly key_disabled: boolean;
  readonly key_superseded: boolean;
  readonly legacy_key_removed: boolean;
  readonly certificate_mismatch: boolean;
  readonly address_not_allowed: boolean;
  readonly roleIsMissing: boolean;
}

const VALID: KeyState = {
  verification: "ok",
  revocations_stale: false,
  key_revoked: false,
  key_disabled: false,
  key_superseded: false,
  legacy_key_removed: false,
  certificate_mismatch: false,
  address_not_allowed: false,
  roleIsMissing: false,
};

/** The order of the judgement: of several reasons the first one counts. */
const REVOCATION_ORDER = [
  "revocations_stale",
  "key_revoked",
  "key_disabled",
  "key_superseded",
  "legacy_key_removed",
] as const;
const BINDING_ORDER = ["certificate_mismatch", "address_not_allowed"] as const;

function expectedReason(state: KeyState, isPresented: boolean): Reason {
  if (state.verification !== "ok") return state.verification;
  const order = isPresented ? [...REVOCATION_ORDER, ...BINDING_ORDER] : REVOCATION_ORDER;
  return order.find((reason) => state[reason]) ?? (state.roleIsMissing ? "credential_invalid" : "allowed");
}

let state = VALID;
let view: InstanceView;
let server: HttpServer;

function principalOf(): Principal {
  return {
    keyId: "user_1_k",
    family: "fam_k",
    role: state.roleIsMissing ? "removed" : "user",
    scopes: ["a"],
    name: "n",
    issuedAt: 1,
    expiresAt: 4_000_000_000,
    refreshAfter: 4_000_000_000,
    ...(state.legacy_key_removed && { legacy: {} }),
    ...(state.certificate_mismatch && { certificate: "another" }),
    nets: state.address_not_allowed ? ["192.0.2.0/24"] : ["127.0.0.0/8"],
  };
}

function verify(): Verification {
  const { verification: reason } = state;
  if (reason === "ok") return { ok: true, principal: principalOf() };
  return reason === "key_expired" ? { ok: false, reason, principal: principalOf() } : { ok: false, reason };
}

const policy = parsedPolicy(POLICY);
const verifier = { verify };
const judgement = {
  view: {
    endReason: (principal: Principal, nowMs: number) => view.endReason(principal, nowMs),
    cutOffBefore: () => 0,
  },
  migration: createMigration({ phase: "removed", chosen: true, version: 1 }),
  stalenessMs: () => (state.revocations_stale ? Number.POSITIVE_INFINITY : 0),
};
const authorize = createAuthorize({
  ...judgement,
  policy: () => policy,
  verifier,
  overrides: NO_OVERRIDES,
  buckets: createBucketStore({ maxBuckets: 10 }),
  failures: createBucketStore({ maxBuckets: 10 }),
  clientAddress: ({ peerAddress }) => peerAddress,
});

beforeAll(async () => {
  const api: ApiPorts = {
    ...judgement,
    policy: () => policy,
    verifier,
    nowMs: () => NOW_MS,
    adminTokens: [ADMIN_TOKEN],
    trustedHops: 0,
    guard: createBucketStore({ maxBuckets: 10 }),
    registry: Object.create(null),
    counters: Object.create(null),
  };
  const holders = endpoint({
    method: "GET",
    path: "/held",
    summary: "",
    access: keyHolders(api),
    writes: false,
    response: { status: 204, description: "" },
    handle: async ({ reply }) => reply.code(204).send(),
  });
  server = await startHttpServer({
    listen: { host: "127.0.0.1", port: 0 },
    endpoints: [holders, introspectRoute(api, { issuer: "i", audience: "a" })],
    onFault: (error) => expect(error).toBeUndefined(),
  });
});

afterAll(() => server.close(0));

function setState(next: KeyState): void {
  state = next;
  view = createInstanceView();
  view.apply([
    {
      kind: "key",
      keyId: "user_1_k",
      version: 1,
      expiresAt: 4_000_000_000,
      revoked: state.key_revoked,
      disabled: state.key_disabled,
      ...(state.key_superseded && { notAfter: 1 }),
    },
  ]);
}

async function checkReason(): Promise<Reason> {
  const described = describedRequest(
    { method: "GET", path: "/a", address: "127.0.0.1", key: "the-key" },
    policy,
  );
  if (!described.ok) throw new Error(described.fault);
  return (await authorize(described.request, NOW_MS)).reason;
}

/** `/problems/…` of the key API, or `allowed`. */
async function apiProblem(): Promise<unknown> {
  const response = await fetch(`http://${server.address}/held`, { headers: { "x-api-key": "the-key" } });
  return response.ok ? "allowed" : Object(await response.json()).type;
}

async function isActive(): Promise<unknown> {
  const response = await fetch(`http://${server.address}/api/auth/v2/introspect`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    body: new URLSearchParams({ token: "the-key" }),
  });
  return Object(await response.json()).active;
}

async function expectOneReason(next: KeyState): Promise<void> {
  setState(next);
  const reason = expectedReason(next, true);
  expect(await checkReason()).toBe(reason);
  expect(await apiProblem()).toBe(reason === "allowed" ? reason : problemType(reason));
  expect(await isActive()).toBe(expectedReason(next, false) === "allowed");
}

const keyStates = fc.record({
  verification: fc.constantFrom(
    "ok",
    "ok",
    "ok",
    "credential_invalid",
    "credential_unavailable",
    "key_expired",
  ),
  revocations_stale: fc.boolean(),
  key_revoked: fc.boolean(),
  key_disabled: fc.boolean(),
  key_superseded: fc.boolean(),
  legacy_key_removed: fc.boolean(),
  certificate_mismatch: fc.boolean(),
  address_not_allowed: fc.boolean(),
  roleIsMissing: fc.boolean(),
} satisfies Record<keyof KeyState, unknown>) as fc.Arbitrary<KeyState>;

const REASONS = ["credential_invalid", "credential_unavailable", "key_expired"] as const;
const SINGLE_STATES: readonly (readonly [name: string, KeyState])[] = [
  ["a valid key", VALID],
  ["a key of a role that is not in the policy", { ...VALID, roleIsMissing: true }],
  ...REASONS.map((verification) => [verification, { ...VALID, verification }] as const),
  ...[...REVOCATION_ORDER, ...BINDING_ORDER].map((reason) => [reason, { ...VALID, [reason]: true }] as const),
];

test.each(SINGLE_STATES)("Check, the key API and introspection agree on %s", (_name, next) =>
  expectOneReason(next),
);

test("a key with several reasons gets the same one from Check, the key API and introspection", async () => {
  await fc.assert(fc.asyncProperty(keyStates, expectOneReason), { numRuns: 300 });
});
