import { describe, expect, test } from "vitest";
import { parsedPolicy } from "../../../test/support/parsed-policy.ts";
import type { Presenter } from "../keys/key-binding.ts";
import type { EndReason } from "../revocation/revocation.ts";
import type { JudgementContext } from "./judge-credential.ts";
import { judgeCredential } from "./judge-credential.ts";
import type { Principal } from "./principal.ts";

const NOW = 1_800_000_000;
const CERTIFICATE = "A".repeat(43);
const bound = { nets: ["192.0.2.0/24"], certificate: CERTIFICATE };

function principalOf(more: Partial<Principal> = {}): Principal {
  const times = { issuedAt: NOW, expiresAt: NOW + 1000, refreshAfter: NOW + 500 };
  return { keyId: "k1", family: "f1", role: "basic", scopes: [], name: "x", ...times, ...more };
}

function policyWith(then: "deny" | "serve") {
  return parsedPolicy(`
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1h } }
routes: [{ path: /a, scopes: [a] }]
faults: { revocations: { max_staleness: 10s, then: ${then} } }
`);
}

interface Situation {
  readonly principal?: Partial<Principal>;
  readonly endReason?: EndReason;
  readonly stalenessMs?: number;
  readonly stale?: "deny" | "serve";
  /** undefined: introspection. */
  readonly presenter?: Presenter | undefined;
}

const CLIENT: Presenter = { address: () => "192.0.2.7", certificate: () => CERTIFICATE };
const OTHER_CLIENT: Presenter = { address: () => "198.51.100.7", certificate: () => undefined };

function judge(situation: Situation, trace?: JudgementContext["trace"]): string {
  const { principal, endReason, stalenessMs = 0, stale = "deny", presenter = CLIENT } = situation;
  const context: JudgementContext = {
    ports: {
      view: { endReason: () => endReason },
      migration: { state: () => ({ phase: "silent", chosen: false, version: 0 }) },
      stalenessMs: () => stalenessMs,
    },
    policy: policyWith(stale),
    nowMs: NOW * 1000,
    trace,
  };
  const asked = "presenter" in situation ? situation.presenter : presenter;
  const judged = judgeCredential({ ok: true, principal: principalOf(principal) }, context, asked);
  return typeof judged === "string" ? judged : "valid";
}

describe("a binding denies every other client", () => {
  test.each<readonly [binding: Partial<Principal>, from: Presenter, judged: string]>([
    [{}, OTHER_CLIENT, "valid"],
    [{ nets: bound.nets }, { ...CLIENT, certificate: () => undefined }, "valid"],
    [{ nets: bound.nets }, OTHER_CLIENT, "address_not_allowed"],
    [{ certificate: CERTIFICATE }, { ...OTHER_CLIENT, certificate: () => CERTIFICATE }, "valid"],
    [{ certificate: CERTIFICATE }, OTHER_CLIENT, "certificate_mismatch"],
    [{ certificate: CERTIFICATE }, { ...CLIENT, certificate: () => "B".repeat(43) }, "certificate_mismatch"],
    [bound, CLIENT, "valid"],
    [bound, { ...CLIENT, address: () => "198.51.100.7" }, "address_not_allowed"],
    [bound, OTHER_CLIENT, "certificate_mismatch"],
  ])("case %#: a key bound to %j", (principal, presenter, judged) => {
    expect(judge({ principal, presenter })).toBe(judged);
    // An introspection is not a use of the key.
    expect(judge({ principal, presenter: undefined })).toBe("valid");
  });
});

test("an old revocation feed denies every key, beyond the limit and if the policy says so", () => {
  expect(judge({ stalenessMs: 10_000 })).toBe("valid");
  expect(judge({ stalenessMs: 10_001 })).toBe("revocations_stale");
  expect(judge({ stalenessMs: 10_001, stale: "serve" })).toBe("valid");
  expect(judge({ stalenessMs: 10_001, stale: "serve", endReason: "key_revoked" })).toBe("key_revoked");
});

test("of several reasons the first step decides: the feed, the revocation, the binding, the role", () => {
  const all = { principal: { ...bound, role: "gone" }, presenter: OTHER_CLIENT } as const;
  expect(judge({ ...all, stalenessMs: 10_001, endReason: "key_disabled" })).toBe("revocations_stale");
  expect(judge({ ...all, endReason: "key_disabled" })).toBe("key_disabled");
  expect(judge(all)).toBe("certificate_mismatch");
  expect(judge({ ...all, presenter: CLIENT })).toBe("credential_invalid");
});

test("a trace has each step once, and names what was observed", () => {
  const traced = (situation: Situation) => {
    const steps: (readonly string[])[] = [];
    judge(situation, (...step) => steps.push(step));
    return steps;
  };
  const key = ["key", "k1, role basic, family f1", "valid signature, issuer, audience and times"];
  const notEnded = ["revocation", "k1", "neither revoked, disabled nor superseded"];
  expect(traced({ stalenessMs: 10_001 })).toEqual([
    key,
    ["revocation", "the revocation feed is too old", "revocations_stale"],
  ]);
  expect(traced({ endReason: "key_superseded" })).toEqual([key, ["revocation", "k1", "key_superseded"]]);
  expect(traced({})).toEqual([key, notEnded]);
  expect(traced({ principal: bound })).toEqual([
    key,
    notEnded,
    ["binding", expect.stringContaining("192.0.2.0/24"), "the client matches"],
  ]);
  expect(traced({ principal: { nets: bound.nets }, presenter: OTHER_CLIENT }).at(-1)).toEqual([
    "binding",
    "198.51.100.7",
    "address_not_allowed",
  ]);
  expect(traced({ principal: bound, presenter: OTHER_CLIENT }).at(-1)).toEqual([
    "binding",
    "no certificate",
    "certificate_mismatch",
  ]);
  const other = "B".repeat(43);
  expect(traced({ principal: bound, presenter: { ...CLIENT, certificate: () => other } }).at(-1)?.[1]).toBe(
    other,
  );
  expect(traced({ principal: { role: "gone" } }).at(-1)).toEqual([
    "role",
    "gone, which is not in the policy",
    "credential_invalid",
  ]);
});
