import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ChargedKey, ChargeGrant } from "../core/charges/charge-ticket.ts";
import { createChargeTickets } from "./charge-tickets.ts";

const SECRET = "a secret of thirty-two characters";
const ISSUED_MS = 1_800_000_000_123;
const open = (...secrets: [string, ...string[]]) =>
  createChargeTickets({ secrets, storeNowMs: () => ISSUED_MS });

const text = fc.string({ unit: "binary", maxLength: 40 });
const key: fc.Arbitrary<ChargedKey> = fc.record(
  { family: text, owner: text, role: text, plan: text, issuer: text },
  { requiredKeys: ["family", "role"] },
);
const grant: fc.Arbitrary<ChargeGrant> = fc.record(
  {
    mode: fc.constantFrom("enforce" as const, "shadow" as const),
    route: text,
    units: fc.array(text, { maxLength: 4 }),
    reserved: fc.record({ unit: text, amount: fc.nat(), quotas: fc.array(text, { maxLength: 3 }) }),
  },
  { requiredKeys: ["mode", "route", "units"] },
);
const decisionId = fc.uuid();

describe("a ticket", () => {
  test("says what it was issued for, whatever texts identity providers put into keys", () => {
    const tickets = open(SECRET);
    fc.assert(
      fc.property(key, grant, decisionId, (holder, granted, id) => {
        const ticket = tickets.issue(holder, granted, id);
        expect(ticket).toMatch(/^[\w.-]+$/);
        expect(tickets.open(ticket)).toEqual({
          key: holder,
          grant: granted,
          decisionId: id,
          issuedMs: ISSUED_MS,
        });
      }),
    );
  });

  test("with any other character, more or fewer of them, is not accepted", () => {
    const tickets = open(SECRET);
    const change = fc.record({
      at: fc.nat(),
      deletes: fc.nat({ max: 2 }),
      inserts: fc.string({ maxLength: 3 }),
    });
    fc.assert(
      fc.property(key, grant, decisionId, change, (holder, granted, id, { at, deletes, inserts }) => {
        const ticket = tickets.issue(holder, granted, id);
        const start = at % (ticket.length + 1);
        const changed = ticket.slice(0, start) + inserts + ticket.slice(start + deletes);
        fc.pre(changed !== ticket);
        expect(tickets.open(changed)).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  test("of another secret is not accepted, and one of a replaced secret is", () => {
    const issued = open(SECRET).issue(
      { family: "f", role: "r" },
      { mode: "enforce", route: "/", units: [] },
      "id",
    );
    expect(open("another").open(issued)).toBeUndefined();
    expect(open("another", SECRET).open(issued)).toMatchObject({ decisionId: "id" });
  });

  test("is never made from what a caller sends, whatever it sends", () => {
    const tickets = open(SECRET);
    const hostile = fc.oneof(
      text,
      fc.string({ unit: "binary", maxLength: 10_000 }),
      fc.constantFrom(
        "",
        ".",
        "c1",
        "c1.....",
        "c1.e30.e30.0.x.",
        "__proto__",
        "c1.W10.W10.0.id.AAAAAAAAAAAAAAAAAAAAAA",
      ),
    );
    fc.assert(
      fc.property(hostile, (sent) => {
        expect(tickets.open(sent)).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  test("has a size that metadata and descriptors carry easily", () => {
    const holder = { family: `fam_${"x".repeat(22)}`, owner: "acme", role: "contributor", plan: "team" };
    const granted: ChargeGrant = {
      mode: "enforce",
      route: "/v1/chat/completions",
      units: ["llm_tokens"],
      reserved: { unit: "llm_tokens", amount: 4000, quotas: ["llm-daily"] },
    };
    const ticket = open(SECRET).issue(holder, granted, "00000000-0000-4000-8000-000000000000");
    expect(ticket.length).toBeLessThan(350);
  });
});
