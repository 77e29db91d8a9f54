import { describe, expect, test } from "vitest";
import { ALLOWED, contextWith, PRINCIPAL, PUBLIC_ALLOW } from "../../test/support/responses.ts";
import { sortedResponse } from "../../test/support/sorted-response.ts";
import type { Allow, Decision, RateStatus } from "../core/decision/decision.ts";
import { deny } from "../core/decision/decision.ts";
import { encodeCheckResponse } from "./check-response-encoder.ts";
import { toCheckResponse } from "./plain-response.ts";
import type { EncodeResponse } from "./response-cache.ts";
import { createResponseEncoder } from "./response-cache.ts";
import type { ResponseContext } from "./response-context.ts";

const TICKETS = { issue: ({ family }: { family: string }, _grant: unknown, id: string) => `${family} ${id}` };
const LIMIT: RateStatus = { name: "per-key", capacity: 60, windowSeconds: 60, remaining: 9 };
const OTHER: RateStatus = { name: "per-role", capacity: 900, windowSeconds: 10, remaining: 800 };
const LIMITED: Allow = { ...ALLOWED, scopes: ["a", "b"], rates: [LIMIT, OTHER] };
const CONTEXT = contextWith();

/** Compares a response with one that is created for this decision alone. */
function expectFresh(
  encode: EncodeResponse,
  decision: Decision,
  context: ResponseContext = CONTEXT,
  mode: "enforce" | "shadow" = "enforce",
): void {
  const fresh = encodeCheckResponse(toCheckResponse(decision, context, mode, TICKETS));
  expect(sortedResponse(encode(decision, context, mode))).toBe(sortedResponse(fresh));
}

describe("no response repeats what the cached one of the same key says", () => {
  test.each<readonly [what: string, change: Partial<Allow>, more: Partial<ResponseContext>]>([
    ["of another scope", { scopes: ["a", "c"] }, {}],
    ["of fewer scopes", { scopes: ["a"] }, {}],
    ["of more scopes", { scopes: ["a", "b", "c"] }, {}],
    ["of no scope", { scopes: [] }, {}],
    ["of a limit with another name", { rates: [LIMIT, { ...OTHER, name: "per-address" }] }, {}],
    ["of a larger limit", { rates: [LIMIT, { ...OTHER, capacity: 901 }] }, {}],
    ["of a limit with another window", { rates: [{ ...LIMIT, windowSeconds: 61 }, OTHER] }, {}],
    // Both numbers change, and their place among the encoded limits stays the same.
    ["of a limit with the same place", { rates: [{ ...LIMIT, capacity: 61, windowSeconds: 53 }, OTHER] }, {}],
    ["of fewer limits", { rates: [LIMIT] }, {}],
    ["of more limits", { rates: [LIMIT, OTHER, { ...OTHER, name: "per-address" }] }, {}],
    ["of no limit", { rates: [] }, {}],
    ["of other tokens left", { rates: [{ ...LIMIT, remaining: 0 }, OTHER] }, {}],
    ["of another route", { route: { ...ALLOWED.route, label: "files" } }, {}],
    ["of a route that keeps the credential", { route: { ...ALLOWED.route, stripCredential: false } }, {}],
    ["of another role", { principal: { ...PRINCIPAL, role: "admin" } }, {}],
    ["of another key", { principal: { ...PRINCIPAL, keyId: "basic_1_y", family: "fam_y", name: "y" } }, {}],
    ["of a due refresh", { refreshDue: true }, {}],
    ["of a V1 key", { notice: { sunset: 1_800_000_000 } }, {}],
    ["of a charge", { charge: { mode: "enforce", route: "chat", units: ["tokens"] } }, {}],
    ["of another prefix", {}, { forwardPrefix: "x-acme-" }],
    ["of other credentials", {}, { credentialSources: ["authorization", "cookie:key", "query:k"] }],
    ["of another decision", {}, { decisionId: "e" }],
    ["with the older headers of limits", {}, { legacyRateLimit: true }],
    ["with headers of the client", {}, contextWith({}, { "x-latchkey-new": "1" })],
  ])("%s", (_what, change, more) => {
    const encode = createResponseEncoder(TICKETS);
    const [changed, context] = [
      { ...LIMITED, ...change },
      { ...CONTEXT, ...more },
    ];
    for (const _use of [1, 2, 3]) expectFresh(encode, LIMITED);
    for (const _use of [1, 2, 3]) expectFresh(encode, changed, context);
    for (const _use of [1, 2]) expectFresh(encode, LIMITED);
  });

  test("of a key, where the route is public", () => {
    const encode = createResponseEncoder(TICKETS);
    const charge = { mode: "enforce", route: "chat", units: ["tokens"] } as const;
    const [limited, charged] = [
      { ...PUBLIC_ALLOW, rates: [LIMIT] },
      { ...PUBLIC_ALLOW, charge },
    ];
    for (const decision of [LIMITED, LIMITED, LIMITED, PUBLIC_ALLOW, limited, charged])
      for (const forwardPrefix of ["x-latchkey-", "x-acme-"])
        expectFresh(encode, decision, { ...CONTEXT, forwardPrefix });
  });

  test("of an allow, where the request is denied or the mode is shadow", () => {
    const encode = createResponseEncoder(TICKETS);
    for (const decision of [LIMITED, LIMITED, deny("key_revoked", { principal: PRINCIPAL }), LIMITED])
      for (const mode of ["enforce", "shadow"] as const) expectFresh(encode, decision, CONTEXT, mode);
  });
});

test("a key that was evicted has its own response when it is used again", () => {
  const encode = createResponseEncoder(TICKETS, 2);
  const keys = ["p", "q", "r", "s"].map((id) => ({ ...PRINCIPAL, keyId: id, family: id, name: id }));
  for (const _round of [1, 2, 3])
    for (const principal of keys) for (const _use of [1, 2]) expectFresh(encode, { ...LIMITED, principal });
});

test.each([
  ["text beyond ASCII", "50% Zoë 🔑"],
  ["no text", ""],
  ["a long text", "n".repeat(300)],
])("a key may have %s", (_what, text) => {
  const encode = createResponseEncoder(TICKETS);
  const principal = { ...PRINCIPAL, keyId: text, family: text, role: text, name: text, owner: text };
  for (const _use of [1, 2, 3])
    expectFresh(encode, { ...LIMITED, principal }, contextWith({ decisionId: text }));
});

describe("parts that many responses have in common are encoded once", () => {
  /** The decision, and how often these of its members were read to encode it. */
  function counted() {
    const reads = { name: 0, label: 0, scope: 0 };
    const countReads = <Part extends object>(
      part: Part,
      member: PropertyKey,
      name: keyof typeof reads,
    ): Part => {
      const value: unknown = Object.getOwnPropertyDescriptor(part, member)?.value;
      return Object.defineProperty(part, member, {
        get: () => {
          reads[name]++;
          return value;
        },
      });
    };
    const decision = {
      ...LIMITED,
      principal: countReads({ ...PRINCIPAL }, "name", "name"),
      route: countReads({ ...ALLOWED.route }, "label", "label"),
      scopes: countReads(["a", "b"], 0, "scope"),
    };
    const encode = createResponseEncoder();
    const readsOf = (next: Decision = decision) => {
      encode(next, CONTEXT, "enforce");
      return { ...reads };
    };
    return { decision, readsOf };
  }

  test("those of a route from its second use on, and those of a key from its third", () => {
    const { readsOf } = counted();
    const [first, second, third] = [readsOf(), readsOf(), readsOf()];
    expect(second).toEqual({ ...first, name: first.name * 2 });
    expect(third).toEqual(second);
  });

  test("those of a key also if its scopes and limits are equal and in other lists", () => {
    const { decision, readsOf } = counted();
    readsOf();
    const { name } = readsOf();
    expect(
      readsOf({ ...decision, scopes: ["a", "b"], rates: [{ ...LIMIT, remaining: 8 }, { ...OTHER }] }).name,
    ).toBe(name);
  });

  test("those of a list of scopes that several keys have", () => {
    const { decision, readsOf } = counted();
    const { scope } = readsOf();
    expect(readsOf({ ...decision, principal: { ...PRINCIPAL, keyId: "basic_1_y" } }).scope).toBe(scope);
  });
});
