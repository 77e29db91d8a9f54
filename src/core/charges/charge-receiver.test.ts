import { describe, expect, test } from "vitest";
import { parsedPolicy } from "../../../test/support/parsed-policy.ts";
import { NO_OVERRIDES } from "../overrides/override-view.ts";
import type { CounterCharge } from "./charge-ledger.ts";
import type { ReceivedCharge, SettledCharge } from "./charge-receiver.ts";
import { createChargeReceiver } from "./charge-receiver.ts";
import type { ChargeTicket } from "./charge-ticket.ts";

const ISSUED_MS = Date.UTC(2027, 4, 10, 12);
const HOUR_MS = 3_600_000;

const policy = parsedPolicy(`
units: { tokens: { charge_within: 2h, reserve_for: 1h }, images: { max_charge: 5 }, other: {} }
roles:
  basic:
    scopes: [a]
    ttl: 1d
    refresh_window: 1d
    quotas:
      - { name: requests, per: key, limit: 7, every: day }
      - { name: daily, per: key, limit: 10, every: day, unit: tokens }
      - { name: monthly, per: owner, limit: 100, every: month, unit: tokens }
      - { name: images, per: key, limit: 50, every: day, unit: images }
routes: [{ path: /a, charge: [tokens, images, other] }]
`);

const ticket: ChargeTicket = {
  key: { family: "fam_x", owner: "acme", role: "basic" },
  grant: { mode: "enforce", route: "/a", units: ["tokens", "images"] },
  decisionId: "d1",
  issuedMs: ISSUED_MS,
};
const received: ReceivedCharge = {
  ticket: "t",
  unit: "tokens",
  decisionId: undefined,
  amount: 3,
  isFallback: false,
};

interface Situation {
  readonly ticket?: Partial<ChargeTicket>;
  readonly afterMs?: number;
  readonly isServed?: boolean;
  readonly isFull?: boolean;
  readonly exhausted?: string;
}

/** The outcome of a charge, and the requests to the counters. */
function receive(more: Partial<ReceivedCharge> = {}, situation: Situation = {}) {
  const settled: SettledCharge[] = [];
  const added: CounterCharge[] = [];
  const known: ChargeTicket = { ...ticket, ...situation.ticket };
  const isExhausted = createChargeReceiver({
    policy: () => policy,
    overrides: NO_OVERRIDES,
    tickets: { open: (text) => (text === "t" ? known : undefined) },
    ledger: {
      add: (charge) => added.push(charge) > 0 && situation.isFull !== true,
      post: async () => undefined,
      waiting: () => 0,
    },
    counters: { isExhausted: ({ quota }) => quota.name === situation.exhausted },
    storeNowMs: () => ISSUED_MS + (situation.afterMs ?? 0),
    isServed: situation.isServed ?? true,
    onSettled: (charge) => settled.push(charge),
  })({ ...received, ...more });
  return { settled, added, isExhausted, ticket: known };
}

describe("a charge that counts nothing", () => {
  test.each<readonly [result: string, more: Partial<ReceivedCharge>, situation: Situation]>([
    ["not_served", {}, { isServed: false }],
    ["no_ticket", { ticket: undefined }, {}],
    ["no_ticket", { ticket: "" }, {}],
    ["invalid_ticket", { ticket: "forged" }, {}],
    ["invalid_ticket", { decisionId: "d2" }, {}],
  ])("is %s, and names no ticket: %j", (result, more, situation) => {
    const { settled, added, isExhausted } = receive(more, { ...situation, exhausted: "daily" });
    expect(settled).toStrictEqual([{ result, unit: "tokens", amount: 3 }]);
    expect([added, isExhausted]).toEqual([[], false]);
  });

  test.each<readonly [result: string, more: Partial<ReceivedCharge>, situation: Situation]>([
    ["wrong_unit", { unit: "other" }, {}],
    ["expired_ticket", {}, { afterMs: 2 * HOUR_MS + 1 }],
    ["no_amount", { amount: undefined }, {}],
    ["no_quota", {}, { ticket: { key: { ...ticket.key, role: "removed" } } }],
    ["too_much", { unit: "images", amount: 6 }, {}],
  ])("is %s, and names its ticket: %j", (result, more, situation) => {
    const { settled, added, ticket: known } = receive(more, situation);
    const { unit = "tokens", amount = 0 } = { ...received, ...more };
    expect(settled).toStrictEqual([{ result, unit, amount, ticket: known }]);
    expect(added).toEqual([]);
  });

  test("does not pass on a unit that the policy does not have", () => {
    for (const unit of [undefined, "secret"])
      expect(receive({ unit }).settled).toStrictEqual([
        { result: "wrong_unit", unit: undefined, amount: 3, ticket },
      ]);
  });
});

describe("a charge that counts", () => {
  const charges = (...of: Parameters<typeof receive>) => receive(...of).added.map(({ charge }) => charge);

  test("goes to every quota of its unit, once for each decision", () => {
    const { added, settled } = receive({ decisionId: "d1" }, { afterMs: 999.5 });
    expect(added.map(({ demand }) => demand.counterId)).toEqual([
      "quota/key:daily:fam_x",
      "quota/owner:monthly:acme",
    ]);
    const charge = {
      id: "d1",
      amount: 3,
      reserved: 0,
      issuedMs: ISSUED_MS,
      receivedMs: ISSUED_MS + 999,
      isRefundable: true,
      keepMs: 2 * HOUR_MS + 60_000,
    };
    expect(added.map((one) => one.charge)).toStrictEqual([charge, charge]);
    expect(settled).toEqual([]);
  });

  test("can have the largest amount of its unit, and come at the last moment", () => {
    expect(charges({ amount: 100 })).toHaveLength(2);
    expect(charges({ unit: "images", amount: 5 })).toHaveLength(1);
    expect(charges({ amount: 0 })).toHaveLength(2);
    expect(charges({}, { afterMs: 2 * HOUR_MS })).toHaveLength(2);
  });

  test("exhausts every quota of a unit without max_charge if it is above all of them", () => {
    expect(charges({ amount: 101 })).toMatchObject([{ amount: 100 }, { amount: 100 }]);
    const reserved = { unit: "tokens", amount: 800, quotas: ["daily"] };
    const reserving = { ticket: { grant: { ...ticket.grant, reserved } } };
    expect(charges({ amount: 900 }, reserving)).toMatchObject([
      { amount: 800, reserved: 800 },
      { amount: 800 },
    ]);
  });

  test("of a request in shadow mode goes to the counters of shadow mode", () => {
    const { added } = receive({}, { ticket: { grant: { ...ticket.grant, mode: "shadow" } } });
    expect(added[0]?.demand.counterId).toBe("quota/shadow/key:daily:fam_x");
  });

  test("corrects what the request has reserved of the quota, and returns a part of it for an hour", () => {
    const reserved = { unit: "tokens", amount: 8, quotas: ["daily"] };
    const reserving = { ticket: { grant: { ...ticket.grant, reserved } } };
    expect(charges({}, reserving)).toMatchObject([{ reserved: 8 }, { reserved: 0 }]);
    expect(charges({ unit: "images" }, reserving)).toMatchObject([{ reserved: 0 }]);
    const named = { ...reserved, quotas: ["images"] };
    const other = { ticket: { grant: { ...ticket.grant, reserved: named } } };
    expect(charges({ unit: "images" }, other)).toMatchObject([{ reserved: 0 }]);
    expect(charges({}, { ...reserving, afterMs: HOUR_MS })[0]).toMatchObject({ isRefundable: true });
    expect(charges({}, { ...reserving, afterMs: HOUR_MS + 1 })[0]).toMatchObject({ isRefundable: false });
  });

  test.each([
    ["counted", false, "charged"],
    ["counted", true, "fallback"],
    ["repeat", false, "repeated"],
    ["repeat", true, "fallback_unused"],
    ["void", false, "void"],
    ["void", true, "void"],
  ] as const)(
    "and is %s (fallback: %s) has the result %s, by its first quota",
    (outcome, isFallback, result) => {
      const { added, settled, ticket: known } = receive({ isFallback });
      const other = outcome === "void" ? "counted" : "void";
      for (const [at, { onOutcome }] of added.entries()) onOutcome(at === 0 ? outcome : other);
      expect(settled).toStrictEqual([{ result, unit: "tokens", amount: 3, ticket: known }]);
    },
  );

  test("is lost if too many charges wait", () => {
    expect(receive({}, { isFull: true }).settled).toStrictEqual([
      { result: "lost", unit: "tokens", amount: 3, ticket },
    ]);
  });

  test("says whether one of its quotas is exhausted", () => {
    expect(receive().isExhausted).toBe(false);
    for (const exhausted of ["daily", "monthly"]) expect(receive({}, { exhausted }).isExhausted).toBe(true);
    expect(receive({}, { exhausted: "images" }).isExhausted).toBe(false);
  });
});
