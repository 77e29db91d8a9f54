import { expect, test } from "vitest";
import { CHARGE_RESULTS } from "../core/charges/charge-receiver.ts";
import { chargeFields, isAuditedCharge } from "./charge.ts";

const TICKET = {
  key: { family: "fam_x", owner: "acme", role: "basic" },
  grant: { mode: "enforce" as const, route: "/chat", units: ["tokens"] },
  decisionId: "d",
  issuedMs: 0,
};

test("what no proxy should send leaves a line, and what every configuration causes does not", () => {
  const audited = CHARGE_RESULTS.filter((result) => isAuditedCharge({ result }));
  expect(CHARGE_RESULTS.filter((result) => !audited.includes(result))).toEqual([
    "charged",
    "fallback",
    "fallback_unused",
    "no_ticket",
    "no_amount",
    "not_served",
  ]);
});

test("a line names the key only by a ticket that Latchkey has issued", () => {
  expect(chargeFields({ result: "invalid_ticket", unit: undefined, amount: 5 })).toEqual({
    event: "charge_rejected",
    result: "invalid_ticket",
    amount: 5,
  });
  expect(chargeFields({ result: "repeated", unit: "tokens", amount: 5, ticket: TICKET })).toEqual({
    event: "charge_rejected",
    result: "repeated",
    unit: "tokens",
    amount: 5,
    decision_id: "d",
    route: "/chat",
    mode: "enforce",
    family: "fam_x",
    owner: "acme",
    role: "basic",
  });
});
