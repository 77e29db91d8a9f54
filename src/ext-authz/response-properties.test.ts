import fc from "fast-check";
import { expect, test } from "vitest";
import { CHECK_METHOD } from "../../scripts/protobuf.ts";
import { PLAIN_ROUTE } from "../../test/support/route.ts";
import { sortedResponse } from "../../test/support/sorted-response.ts";
import type { ChargeGrant } from "../core/charges/charge-ticket.ts";
import type { Decision, RateStatus } from "../core/decision/decision.ts";
import { DENY_REASONS } from "../core/decision/decision.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import type { Route } from "../core/policy/route-table.ts";
import { encodeCheckResponse } from "./check-response-encoder.ts";
import { toCheckResponse } from "./plain-response.ts";
import { createResponseEncoder } from "./response-cache.ts";
import type { ResponseContext } from "./response-context.ts";
import { toStruct } from "./struct.ts";
import type { TicketIssuer } from "./ticket-fragment.ts";

const text = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.constant("n".repeat(200)),
);
const scope = fc.constantFrom("chat:read", "chat:write", "model:read");

// Few values, so that a test repeats keys and routes, under another policy as well.
const principals: readonly Principal[] = ["ada", "50% Zoë 🔑", "n".repeat(200), ""].map((name, i) => ({
  keyId: `basic_1_${i}`,
  family: `fam_${i}`,
  role: "basic",
  scopes: ["chat:read"],
  name,
  issuedAt: 1,
  expiresAt: 2,
  refreshAfter: 1,
  ...(i > 1 && { owner: "acme" }),
}));
const routes: readonly Route[] = ["/a", "/b/**"].map((pattern, i) => ({
  ...PLAIN_ROUTE,
  label: pattern,
  pattern,
  stripCredential: i === 0,
}));
const route = fc.constantFrom(...routes);
const rate: fc.Arbitrary<RateStatus> = fc.record({
  name: fc.constantFrom("per-key", "per-address"),
  capacity: fc.integer({ min: 1, max: 1e9 }),
  windowSeconds: fc.integer({ min: 1, max: 1e9 }),
  remaining: fc.nat(),
});
const rates = fc.array(rate, { maxLength: 2 });
const seconds = fc.integer({ min: 1, max: 1e9 });

const grant: fc.Arbitrary<ChargeGrant> = fc.record({
  mode: fc.constant("enforce" as const),
  route: fc.constant("/a"),
  units: fc.constant(["tokens"]),
});
const TICKETS: TicketIssuer = {
  issue: ({ family }, { units }, decisionId) => `${family} ${units.join(" ")} ${decisionId}`,
};

const decision: fc.Arbitrary<Decision> = fc.oneof(
  fc.record(
    {
      verdict: fc.constant("allow" as const),
      reason: fc.constant("allowed" as const),
      route,
      principal: fc.constantFrom(...principals),
      scopes: fc.array(scope, { maxLength: 3 }),
      rates,
      refreshDue: fc.boolean(),
      charge: grant,
      notice: fc.record({ deprecatedAt: seconds, sunset: seconds }, { requiredKeys: [] }),
    },
    { requiredKeys: ["verdict", "reason", "route", "scopes", "rates", "refreshDue"] },
  ),
  fc.record(
    {
      verdict: fc.constant("deny" as const),
      reason: fc.constantFrom(...DENY_REASONS),
      route,
      principal: fc.constantFrom(...principals),
      requiredScopes: fc.array(scope, { maxLength: 2 }),
      retryAfterSeconds: seconds,
      rates,
    },
    { requiredKeys: ["verdict", "reason"] },
  ),
);

const sources: readonly ResponseContext["credentialSources"][] = [
  ["authorization", "x-api-key"],
  ["authorization", "cookie:key", "query:api_key"],
];
const headers = fc.dictionary(
  fc.constantFrom("x-latchkey-role", "x_latchkey_role", "x-latchkey-other", "x-other", "cookie"),
  fc.constantFrom("key=1", "key=1; a=b", "a=b"),
);
const request: fc.Arbitrary<AuthRequest> = fc
  .record({ headers, query: fc.constantFrom("", "api_key=1", "a=b&api_key=1") })
  .map(({ headers, query }) => ({
    method: "GET",
    host: "x",
    scheme: "https",
    path: { path: "/a", segments: ["a"], query },
    headers: new Map(Object.entries(headers).map(([name, value]) => [name, [value]])),
    peerAddress: "127.0.0.1",
    certificate: () => undefined,
    extensions: new Map(),
    grpc: false,
  }));
const context: fc.Arbitrary<ResponseContext> = fc.record({
  decisionId: fc.uuid(),
  forwardPrefix: fc.constantFrom("x-latchkey-", "x-id-"),
  legacyRateLimit: fc.boolean(),
  credentialSources: fc.constantFrom(...sources),
  request: fc.option(request, { nil: undefined }),
  grpc: fc.boolean(),
});

/** Vitest compares buffers byte by byte, which takes most of the time of a property. */
const hexOf = (bytes: Buffer): string => bytes.toString("hex");

test("a response is encoded to the bytes of protobufjs", () => {
  fc.assert(
    fc.property(decision, context, fc.constantFrom("enforce", "shadow"), (decided, context, mode) => {
      const response = toCheckResponse(decided, context, mode);
      expect(hexOf(encodeCheckResponse(response))).toBe(hexOf(CHECK_METHOD.responseSerialize(response)));
    }),
    { numRuns: 1000 },
  );
});

test("every response that the messages allow is encoded to the bytes of protobufjs, whatever it leaves out", () => {
  const pair = fc.record({ key: text, value: text });
  const option = fc.record(
    { header: pair, append: fc.record({ value: fc.boolean() }), append_action: fc.constantFrom(0, 1, 2, 3) },
    { requiredKeys: ["header"] },
  );
  const options = fc.array(option, { maxLength: 3 });
  const texts = fc.array(text, { maxLength: 3 });
  const metadata = fc.dictionary(text, text, { maxKeys: 3 }).map(toStruct);
  const allow = fc.record(
    {
      status: fc.constant({ code: 0 } as const),
      ok_response: fc.record(
        {
          headers: options,
          headers_to_remove: texts,
          response_headers_to_add: options,
          query_parameters_to_set: fc.array(pair, { maxLength: 3 }),
          query_parameters_to_remove: texts,
        },
        { requiredKeys: [] },
      ),
      dynamic_metadata: metadata,
    },
    { requiredKeys: ["status", "ok_response"] },
  );
  const denial = fc.record(
    {
      status: fc.record({ code: fc.constantFrom(3, 7, 16), message: text }, { requiredKeys: ["code"] }),
      denied_response: fc.record(
        { status: fc.record({ code: fc.constantFrom(401, 403) }), headers: options, body: text },
        { requiredKeys: ["status"] },
      ),
      dynamic_metadata: metadata,
    },
    { requiredKeys: ["status", "denied_response"] },
  );
  fc.assert(
    fc.property(fc.oneof(allow, denial), (response) => {
      expect(hexOf(encodeCheckResponse(response))).toBe(hexOf(CHECK_METHOD.responseSerialize(response)));
    }),
  );
});

test("every kind of Struct value is encoded to the bytes of protobufjs", () => {
  const value = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true }),
    text,
    fc.array(text),
    fc.dictionary(text, fc.nat()),
  );
  fc.assert(
    fc.property(fc.dictionary(text, value), (members) => {
      const response = { status: { code: 0 }, ok_response: {}, dynamic_metadata: toStruct(members) } as const;
      expect(hexOf(encodeCheckResponse(response))).toBe(hexOf(CHECK_METHOD.responseSerialize(response)));
    }),
  );
});

test("a cached response equals one that is encoded from scratch, whatever was encoded before", () => {
  const call = fc.tuple(decision, context, fc.constantFrom("enforce" as const, "shadow" as const));
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 30 }), fc.constantFrom(2, 100), (all, maxKeys) => {
      const encode = createResponseEncoder(TICKETS, maxKeys);
      for (const [decided, context, mode] of all) {
        const bytes = encode(decided, context, mode);
        const expected = toCheckResponse(decided, context, mode, TICKETS);
        expect(sortedResponse(bytes)).toBe(sortedResponse(encodeCheckResponse(expected)));
        if (decided.verdict === "deny" && mode === "enforce") expect(expected.status.code).toBeGreaterThan(0);
      }
    }),
    { numRuns: 200 },
  );
});

test("a denial with the status code of an allow is not encoded", () => {
  const broken = JSON.parse('{ "status": { "code": 0 }, "denied_response": { "status": { "code": 403 } } }');
  expect(() => encodeCheckResponse(broken)).toThrow(RangeError);
});
