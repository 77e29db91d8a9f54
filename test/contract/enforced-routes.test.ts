import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeCheckResponse, encodeCheckRequest } from "../../scripts/protobuf.ts";
import { createReplay } from "../../src/audit/replay.ts";
import { createAuthorize } from "../../src/core/decision/authorize.ts";
import { createExplain, UNCOUNTED_FAILURES } from "../../src/core/decision/explain.ts";
import type { AuthorizePorts } from "../../src/core/decision/request-context.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { createMigration } from "../../src/core/legacy/migration.ts";
import { NO_OVERRIDES } from "../../src/core/overrides/override-view.ts";
import type { Policy } from "../../src/core/policy/policy.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import { parseCases } from "../../src/policy/cases.ts";
import { parsePolicy } from "../../src/policy/file.ts";
import { runCases } from "../../src/server/policy-trial/case-runner.ts";
import { parsedPolicy } from "../support/parsed-policy.ts";
import { CHECKED_AT_SECONDS, realCheck } from "../support/real-check.ts";

const USER = {
  scopes: ["a"],
  ttl: "1d",
  refresh_window: "1h",
  rate_limits: [{ name: "n", per: "key", capacity: 9, refill: "1/s" }],
};

/** JSON is YAML. */
function policyOf(mode: string, routes: readonly object[], more: object = {}): string {
  return JSON.stringify({ roles: { user: USER }, routes, defaults: { mode }, ...more });
}

interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly host?: string;
  readonly key?: string;
  readonly extensions?: Readonly<Record<string, string>>;
}

function requestOf({ method = "GET", path, host = "x", key, extensions = {} }: Asked): Buffer {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const http = { method, path, host, scheme: "https", headers };
  return encodeCheckRequest({ attributes: { request: { http }, context_extensions: extensions } });
}

const letThrough = (bytes: Uint8Array) => decodeCheckResponse(bytes).status.code === 0;

/** Spellings of a segment that an upstream may read as the same segment. */
const respelled = (segment: string) =>
  fc.constantFrom(
    segment,
    `%${segment.charCodeAt(0).toString(16)}${segment.slice(1)}`,
    `%25${segment.charCodeAt(0).toString(16)}${segment.slice(1)}`,
    `${segment};v=1`,
    `;/${segment}`,
    `/${segment}`,
    `./${segment}`,
    `%2e/${segment}`,
    `q/../${segment}`,
    `q/%2e%2E/${segment}`,
    `q\\..\\${segment}`,
    `${segment}%00`,
    `${segment}%2f`,
    `${segment}/.`,
    `${segment}#x`,
    ` ${segment}`,
  );
const spelling = (segments: readonly string[]) =>
  fc
    .tuple(
      fc.constantFrom("/", "//", "/./", "/%2f", "\\", "https://x/", "/;/", ""),
      fc.tuple(...segments.map(respelled)),
      fc.constantFrom("/", "//", "%2f", "%5c"),
      fc.constantFrom("", "/", "//", "/.", "?", "?a=/b", "#", "/..;/"),
    )
    .map(([begin, parts, join, end]) => `${begin}${parts.join(join)}${end}`);

const method = fc.constantFrom("GET", "POST", "HEAD", "get", "OPTIONS", "");
const route = fc.record({
  path: fc
    .tuple(fc.array(fc.constantFrom("a", "b", "*"), { maxLength: 2 }), fc.boolean())
    .map(([segments, rest]) => `/${[...segments, ...(rest ? ["**"] : [])].join("/")}`),
  methods: fc.constantFrom([], ["GET"], ["POST"]),
  hosts: fc.constantFrom([], [], ["x"]),
  mode: fc.constantFrom("enforce", "shadow"),
  public: fc.boolean(),
});
const enforced = fc
  .tuple(fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 3 }), fc.boolean())
  .chain(([segments, rest]) =>
    fc.record({
      segments: fc.constant(rest ? [...segments, "a"] : segments),
      path: fc.constant(`/${segments.join("/")}${rest ? "/**" : ""}`),
      methods: fc.constantFrom([], ["GET"]),
      spelt: spelling(rest ? [...segments, "a"] : segments),
    }),
  );

test("if a route enforces, no spelling of a path beneath it passes without the route's requirements", async () => {
  let tried = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("shadow", "enforce"),
      fc.constantFrom("reject", "strip"),
      enforced,
      fc.array(route, { maxLength: 3 }),
      method,
      async (mode, path_params, { segments, path, methods, spelt }, others, verb) => {
        const routes = [{ path, methods, mode: "enforce", scopes: ["a"] }, ...others];
        const text = policyOf(mode, routes, { requests: { path_params } });
        const parsed = parsePolicy({ text, fileName: "p" });
        fc.pre(parsed.ok);
        const plain = { path: `/${segments.join("/")}`, segments, query: "" };
        const meant = parsed.policy.routes.find({ path: plain, host: "x", method: verb });
        // A closer route may let it through.
        fc.pre(meant === undefined || (meant.mode === "enforce" && !meant.public));
        tried++;
        const { check } = await realCheck({ policy: text });
        expect(letThrough(await check(requestOf({ method: verb, path: spelt }), 1000))).toBe(false);
      },
    ),
    { numRuns: 500 },
  );
  expect(tried).toBe(500);
}, 60_000);

const BOTH = [
  { path: "/strict/**", methods: ["GET"], scopes: ["a"], mode: "enforce" },
  { path: "/trial/**", methods: ["GET"], scopes: ["a"], mode: "shadow" },
];
const record: KeyRecord = {
  keyId: "user_1800000000_abcdefghijklmnopqrstuv",
  family: "fam_abcdefghijklmnopqrstuv",
  familyStartedAt: CHECKED_AT_SECONDS,
  role: "user",
  scopes: ["a"],
  name: "n",
  issuedAt: CHECKED_AT_SECONDS,
  expiresAt: CHECKED_AT_SECONDS + 1000,
  refreshAfter: CHECKED_AT_SECONDS + 500,
  selfService: false,
  disabled: false,
  version: 1,
};
const never = () => new Promise<never>(() => undefined);
const broken = () => {
  throw new Error("broken on purpose");
};

describe.each(["shadow", "enforce"])(
  "with the default %s, one enforced route and one route in shadow mode",
  (mode) => {
    const policy = policyOf(mode, BOTH);
    const faults: readonly (readonly [what: string, ports: Partial<AuthorizePorts>])[] = [
      ["the verifier never answers", { verifier: { verify: never } }],
      ["the verifier fails", { verifier: { verify: broken } }],
      ["the verifier rejects", { verifier: { verify: async () => broken() } }],
      [
        "the key cannot be looked up",
        { verifier: { verify: () => ({ ok: false, reason: "credential_unavailable" }) } },
      ],
      ["the buckets never answer, as a Redis that is paused", { buckets: { take: never } }],
      ["the buckets reject", { buckets: { take: async () => broken() } }],
      [
        "the limits are unavailable",
        {
          buckets: {
            take: () => ({ ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] }),
          },
        },
      ],
      ["revocations are stale", { stalenessMs: () => Number.POSITIVE_INFINITY }],
      ["revocations cannot be read", { view: { endReason: broken } }],
      ["the phase cannot be read", { stalenessMs: broken }],
    ];
    test.each(faults)(
      "%s: the enforced route denies, and the shadow mode lets through",
      async (_what, ports) => {
        const { check, signer } = await realCheck({ policy, ports });
        const key = await signer.sign(record);
        const ask = async (path: string) => letThrough(await check(requestOf({ path, key }), 60));
        expect([await ask("/strict/x"), await ask("/trial/x")]).toEqual([false, true]);
      },
    );

    test.each<[string, Asked]>([
      ["a path that cannot be read", { path: "//strict/x" }],
      ["a path of no route", { path: "/elsewhere" }],
      ["a method that the route leaves out", { path: "/strict/x", method: "POST" }],
      ["a method that the shadow leaves out", { path: "/trial/x", method: "POST" }],
      ["a host of its own", { path: "/Strict/x", host: "y" }],
      ["context_extensions of a wrong form", { path: "/strict/x", extensions: { cost: "-1" } }],
      ["no key on the enforced route", { path: "/strict/x" }],
    ])("%s is denied", async (_what, asked) => {
      const { check } = await realCheck({ policy });
      expect(letThrough(await check(requestOf(asked), 1000))).toBe(false);
    });

    test("an empty CheckRequest is denied", async () => {
      const { check } = await realCheck({ policy });
      for (const message of [undefined, new Uint8Array(), Uint8Array.of(0xff)])
        expect(letThrough(await check(message, 1000))).toBe(false);
    });

    test("explain, cases and replay give the same result", async () => {
      const parsed = parsedPolicy(policy);
      const asked = {
        "GET //strict/x": "request_malformed",
        "GET /elsewhere": "credential_missing",
      } as const;
      for (const [request, reason] of Object.entries(asked)) {
        const [verb = "", path = ""] = request.split(" ");
        expect(await explained(parsed, verb, path)).toMatchObject({ reason, mode: "enforce" });
        const one = { name: request, request, expect: reason, mode: "enforce" };
        const cases = JSON.stringify({ cases: [one] });
        const file = parseCases(cases, "c");
        if (!file.ok) throw new Error(file.problems.join("\n"));
        expect((await runCases(file.file, parsed)).flatMap(({ problems }) => problems)).toEqual([]);
        const past = {
          time: "2027-01-01T00:00:00.000Z",
          reason,
          mode: "shadow",
          method: verb,
          raw_path: path,
        };
        const replayed = await createReplay(parsed)({ ...past, mode: "shadow" });
        expect(replayed).toMatchObject({ determined: true, was: `${reason} (shadow)`, wouldBe: reason });
      }
    });
  },
);

test("if no route enforces, an unreadable request is treated by the default", async () => {
  const shadow = policyOf("shadow", [{ path: "/trial/**", scopes: ["a"] }]);
  const { check } = await realCheck({ policy: shadow });
  for (const path of ["//trial/x", "/elsewhere"])
    expect(letThrough(await check(requestOf({ path }), 1000))).toBe(true);
});

function explained(policy: Policy, verb: string, path: string) {
  const authorize = createAuthorize({
    policy: () => policy,
    verifier: { verify: () => ({ ok: false, reason: "credential_invalid" }) },
    view: createInstanceView(),
    overrides: NO_OVERRIDES,
    migration: createMigration(),
    stalenessMs: () => 0,
    buckets: UNCOUNTED_FAILURES,
    failures: UNCOUNTED_FAILURES,
    clientAddress: ({ peerAddress }) => peerAddress,
  });
  const explain = createExplain({ authorize, policy: () => policy, nowMs: () => CHECKED_AT_SECONDS * 1000 });
  return explain({ method: verb, path });
}
