import { expect, test } from "vitest";
import { createCalendars } from "../quotas/calendar.ts";
import type { QuotaDemand } from "../quotas/quota-demand.ts";
import { quotaDemands } from "../quotas/quota-demand.ts";
import type { QuotaCharge } from "../quotas/quota-step.ts";
import { createChargeLedger } from "./charge-ledger.ts";

const QUOTA = { name: "q", per: "key", limit: 10, every: "day", timeZone: "UTC", unit: "requests" } as const;
const calendars = createCalendars();
const demandOf = (family: string): QuotaDemand => {
  const [demand] = quotaDemands([QUOTA], { family, role: "r" }, calendars);
  return demand ?? expect.fail("a demand");
};
const chargeOf = (id: string): QuotaCharge => ({
  ...{ id, amount: 1, reserved: 0, issuedMs: 0, receivedMs: 0 },
  ...{ isRefundable: false, keepMs: 1 },
});

test("charges of an unavailable counter do not hold up those of another one", async () => {
  const [dead, alive] = [demandOf("dead"), demandOf("alive")];
  const available = new Set<QuotaDemand>();
  const ledger = createChargeLedger({
    counters: {
      charge: async (demand) => {
        if (!available.has(demand)) throw new Error("unavailable");
        return "counted";
      },
      charging: () => undefined,
    },
  });
  const counted: string[] = [];
  const add = (demand: QuotaDemand, id: string) =>
    ledger.add({ demand, charge: chargeOf(id), onOutcome: () => counted.push(id) });
  const ids = Array.from({ length: 600 }, (_, at) => `dead ${at}`);
  for (const id of ids) add(dead, id);
  add(alive, "alive");
  await expect(ledger.post()).rejects.toThrow("did not answer");
  available.add(alive);
  for (let turn = 0; turn < 3; turn++) await expect(ledger.post()).rejects.toThrow("did not answer");
  expect(counted).toEqual(["alive"]);
  expect(ledger.waiting()).toBe(600);
  available.add(dead);
  await ledger.post();
  // In their order, because the first charge of a decision counts.
  expect(counted).toEqual(["alive", ...ids]);
  expect(ledger.waiting()).toBe(0);
});

/** A ledger whose counters did not answer these charges, and what it sends again to those that are available. */
function waitingLedger(families: readonly string[]) {
  const available = new Set<string>();
  const sent: string[] = [];
  const ledger = createChargeLedger({
    counters: {
      charge: async ({ subject }) => {
        sent.push(subject);
        if (!available.has(subject)) throw new Error("unavailable");
        return "counted";
      },
      charging: () => undefined,
    },
  });
  for (const [at, family] of families.entries())
    ledger.add({ demand: demandOf(family), charge: chargeOf(`${at}`), onOutcome: () => undefined });
  sent.length = 0;
  return { ledger, available, sent };
}

const times = (count: number, family: string) => Array.from({ length: count }, () => family);

test("a store that answers nothing is asked for 500 charges, and not for the others", async () => {
  const families = Array.from({ length: 1200 }, (_, at) => `family ${at}`);
  const { ledger, sent } = waitingLedger(families);
  await expect(ledger.post()).rejects.toThrow("the store did not answer for 500 counters");
  expect([sent.length, ledger.waiting()]).toEqual([500, 1200]);
});

test("a counter without an answer is not asked again in the same turn, and the charges behind it are sent", async () => {
  const { ledger, available, sent } = waitingLedger([
    ...times(100, "alive"),
    ...times(900, "dead"),
    "behind",
  ]);
  available.add("alive").add("behind");
  await expect(ledger.post()).rejects.toThrow("the store did not answer for 1 counters");
  expect(sent).toEqual([...times(100, "alive"), ...times(400, "dead"), "behind"]);
  expect(ledger.waiting()).toBe(900);
});

test("a charge counts as taken until its counter answers, beyond what was reserved for it", async () => {
  const demand = demandOf("f");
  const charging: number[] = [];
  const ledger = createChargeLedger({
    counters: { charge: async () => "counted", charging: (_demand, units) => charging.push(units) },
  });
  const outcomes: string[] = [];
  const add = (amount: number, reserved: number) =>
    ledger.add({
      demand,
      charge: { ...chargeOf("c"), amount, reserved },
      onOutcome: (outcome) => outcomes.push(outcome),
    });
  expect([add(5, 2), add(2, 5)]).toEqual([true, true]);
  expect(charging).toEqual([3, 0]);
  expect(ledger.waiting()).toBe(2);
  await ledger.post();
  expect(charging).toEqual([3, 0, -3, -0]);
  expect(outcomes).toEqual(["counted", "counted"]);
  expect(ledger.waiting()).toBe(0);
});

test("a charge is not accepted if too many wait, on their way or for their counter", async () => {
  const ledger = createChargeLedger({
    counters: { charge: () => Promise.reject(new Error("unavailable")), charging: () => undefined },
    maxWaiting: 2,
  });
  const add = (id: string) =>
    ledger.add({ demand: demandOf("f"), charge: chargeOf(id), onOutcome: () => undefined });
  expect([add("a"), add("b"), add("c")]).toEqual([true, true, false]);
  await expect(ledger.post()).rejects.toThrow("the store did not answer for 1 counters");
  expect(add("c")).toBe(false);
  expect(ledger.waiting()).toBe(2);
});

test("a counter that answers without an outcome ends a charge, and reports nothing", async () => {
  const ledger = createChargeLedger({
    counters: { charge: async () => undefined, charging: () => undefined },
  });
  ledger.add({ demand: demandOf("f"), charge: chargeOf("a"), onOutcome: () => expect.unreachable() });
  await ledger.post();
  expect(ledger.waiting()).toBe(0);
});
