import { describe, expect, test } from "vitest";
import { quotaDemand } from "../../../test/support/quota-demand.ts";
import type { Quota } from "../policy/policy.ts";
import type { QuotaExchangePorts, QuotaThreshold } from "./quota-exchange.ts";
import { createQuotaExchange } from "./quota-exchange.ts";
import type { QuotaReply, QuotaStep } from "./quota-step.ts";

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2027, 4, 10);
const NOW_MS = START_MS + 1000;
/** 10 requests a day, unless the members say otherwise. */
function demandOf(more: Partial<Quota> = {}) {
  return quotaDemand({ limit: 10, ...more });
}
const DEMAND = demandOf();
const TOKENS = demandOf({ unit: "tokens" });
const REQUEST = { leaseId: "l", cost: 1, waiting: 1, ahead: 0, held: 0 };
const REPLY: QuotaReply = {
  inWindows: true,
  nowMs: NOW_MS,
  windowMs: START_MS,
  leftUs: 7_000_000,
  grantedUnits: 1,
  lifeUs: 1_000_000,
  isEnding: false,
  used: 3,
  freeUnits: 6,
  leased: 0,
  expiredUnits: 0,
  crossed: 0,
  posted: undefined,
  charged: undefined,
};

/** An exchange whose store returns these replies, and then the last one. */
function open(
  replies: readonly (Partial<QuotaReply> | "lost")[] = [{}],
  more: Partial<QuotaExchangePorts> = {},
) {
  const clock = { nowMs: NOW_MS };
  const steps: QuotaStep[] = [];
  const observed: (readonly [string, number])[] = [];
  const crossed: QuotaThreshold[] = [];
  const delays: number[] = [];
  const exchange = createQuotaExchange({
    store: {
      async step(_counterId, step) {
        const reply = replies[Math.min(steps.push(step), replies.length) - 1];
        if (reply === "lost") throw new Error("lost on purpose");
        return { ...REPLY, nowMs: clock.nowMs, ...reply };
      },
    },
    storeNowMs: () => clock.nowMs,
    monotonicMs: () => clock.nowMs,
    instanceId: "i",
    fault: () => "count",
    delayMs: async (ms) => void delays.push(ms),
    observe: (event, units) => void observed.push([event, units]),
    onThreshold: (threshold) => void crossed.push(threshold),
    ...more,
  });
  return { exchange, clock, steps, observed, crossed, delays };
}

describe("a step", () => {
  test("has the limit and the windows of the demand, and returns what was granted", async () => {
    const { exchange, steps, observed, crossed } = open([{ leased: 2 }]);
    const demand = demandOf({ extra: { units: 5, atMs: NOW_MS } });
    const settlements = [{ leaseId: "a", unspentTokens: 2, spentAgoUs: 5 }];
    expect(await exchange.step(demand, settlements, REQUEST)).toEqual({
      grantedTokens: 1,
      waitUs: 7_000_000,
      leasesOutstanding: true,
      counter: { lifeUs: 1_000_000, freeUnits: 6 },
    });
    expect(steps).toEqual([
      {
        limit: 10,
        extra: { units: 5, windowMs: START_MS },
        windows: { startMs: START_MS, endMs: START_MS + DAY_MS, nextEndMs: START_MS + 2 * DAY_MS },
        settlements,
        request: REQUEST,
      },
    ]);
    expect([observed, crossed]).toEqual([[], []]);
  });

  test("says whether units may come back: of a lease, or of a reservation", async () => {
    const outstanding = async (demand: typeof DEMAND, leased: number) =>
      (await open([{ leased }]).exchange.step(demand, [], REQUEST)).leasesOutstanding;
    expect([
      await outstanding(DEMAND, 0),
      await outstanding(DEMAND, 1),
      await outstanding(TOKENS, 0),
    ]).toEqual([false, true, true]);
  });

  test("in the last moment of a window waits for the next one, without settling twice", async () => {
    const ending = { isEnding: true, grantedUnits: 0, leftUs: 15_000 };
    const settlements = [{ leaseId: "a", unspentTokens: 2, spentAgoUs: 5 }];
    const { exchange, steps, delays } = open([ending, ending, {}]);
    expect(await exchange.step(DEMAND, settlements, REQUEST)).toMatchObject({ grantedTokens: 1 });
    expect(delays).toEqual([16, 16]);
    expect(steps.map((step) => [step.settlements.length, step.request?.leaseId])).toEqual([
      [1, "l"],
      [0, "l"],
      [0, "l"],
    ]);
    const endless = open([ending]);
    expect(await endless.exchange.step(DEMAND, [], REQUEST)).toMatchObject({ grantedTokens: 0 });
    expect([endless.delays.length, endless.steps.length]).toEqual([3, 4]);
  });

  test("reports thresholds and expired leases, and needs no listener", async () => {
    const reply = { crossed: 80, expiredUnits: 4 } as const;
    const { exchange, observed, crossed } = open([reply]);
    await exchange.step(DEMAND, [], REQUEST);
    expect(observed).toEqual([["expired", 4]]);
    const { quota } = DEMAND;
    expect(crossed).toEqual([{ quota, subject: "f", mode: "enforce", percent: 80, windowMs: START_MS }]);
    const alone = createQuotaExchange({
      store: { step: async () => ({ ...REPLY, ...reply }) },
      storeNowMs: () => NOW_MS,
      monotonicMs: () => NOW_MS,
      instanceId: "i",
      fault: () => "count",
      delayMs: async () => undefined,
    });
    expect(await alone.step(DEMAND, [], REQUEST)).toMatchObject({ grantedTokens: 1 });
    alone.count(DEMAND, 1);
  });
});

describe("without the store", () => {
  test("a request follows faults.quotas, and is denied if its window is known to have less left", async () => {
    const { exchange, clock } = open([{ used: 7 }]);
    expect([exchange.withoutStore(DEMAND, 10), exchange.withoutStore(DEMAND, 11)]).toEqual([
      "count",
      "exhausted",
    ]);
    await exchange.step(DEMAND, [], REQUEST);
    expect([exchange.withoutStore(DEMAND, 3), exchange.withoutStore(DEMAND, 4)]).toEqual([
      "count",
      "exhausted",
    ]);
    clock.nowMs = START_MS + DAY_MS;
    expect(exchange.withoutStore(DEMAND, 10)).toBe("count");
    expect(open([], { fault: () => "deny" }).exchange.withoutStore(DEMAND, 1)).toBe("deny");
  });

  test("what was admitted counts at once, and is posted later", async () => {
    const { exchange, steps, observed } = open([{ posted: "counted" }]);
    exchange.count(DEMAND, 4);
    exchange.count(DEMAND, 3);
    expect([exchange.withoutStore(DEMAND, 3), exchange.withoutStore(DEMAND, 4)]).toEqual([
      "count",
      "exhausted",
    ]);
    expect([exchange.waiting(), observed]).toEqual([
      1,
      [
        ["counted", 4],
        ["counted", 3],
      ],
    ]);
    await exchange.post();
    expect(steps.map(({ posting }) => posting?.sent)).toMatchObject([{ window: START_MS, amount: 7 }]);
    expect([exchange.waiting(), observed.at(-1)]).toEqual([0, ["posted", 7]]);
  });

  test("the use of requests is the most that was known in the window, and that of other units the newest", async () => {
    for (const [demand, left] of [
      [DEMAND, 2],
      [TOKENS, 5],
    ] as const) {
      const { exchange } = open([{ used: 8 }, { used: 5 }]);
      await exchange.step(demand, [], REQUEST);
      await exchange.step(demand, [], REQUEST);
      expect([exchange.withoutStore(demand, left), exchange.withoutStore(demand, left + 1)]).toEqual([
        "count",
        "exhausted",
      ]);
    }
  });

  test("the use of a newer window replaces that of an older one, and not the reverse", async () => {
    const nextMs = START_MS + DAY_MS;
    const { exchange, clock } = open([{ used: 8 }, { used: 1, windowMs: nextMs }, { used: 9 }]);
    for (let step = 0; step < 3; step++) await exchange.step(DEMAND, [], REQUEST);
    // The instance's clock is behind: the newest known window counts.
    expect([exchange.withoutStore(DEMAND, 9), exchange.withoutStore(DEMAND, 10)]).toEqual([
      "count",
      "exhausted",
    ]);
    clock.nowMs = nextMs;
    expect([exchange.withoutStore(DEMAND, 9), exchange.withoutStore(DEMAND, 10)]).toEqual([
      "count",
      "exhausted",
    ]);
  });
});

test("a reset forgets what was used, what waits to be looked at, and what is kept", async () => {
  const { exchange } = open([{ used: 10 }]);
  await exchange.step(DEMAND, [], REQUEST);
  expect(exchange.withoutStore(DEMAND, 1)).toBe("exhausted");
  exchange.forget(DEMAND.counterId);
  expect(exchange.withoutStore(DEMAND, 1)).toBe("count");
  await exchange.charge(TOKENS, CHARGE);
  expect(exchange.isExhausted(TOKENS)).toBe(true);
  exchange.forget(TOKENS.counterId);
  expect(exchange.isExhausted(TOKENS)).toBe(false);
});

test("what was posted is posted again after a loss, unless the counter was reset since", async () => {
  for (const isReset of [false, true]) {
    const { exchange, steps } = open([{ posted: "counted" }], { keepMs: 60_000 });
    exchange.count(DEMAND, 4);
    await exchange.post();
    if (isReset) exchange.forget(DEMAND.counterId);
    exchange.replay();
    await exchange.post();
    expect(steps).toHaveLength(isReset ? 1 : 2);
  }
});

const CHARGE = {
  id: "c",
  amount: 5,
  reserved: 0,
  issuedMs: NOW_MS,
  receivedMs: NOW_MS,
  isRefundable: false,
  keepMs: 1000,
};

describe("a charge", () => {
  test("is one step, and its reply is known to the next look", async () => {
    const { exchange, steps } = open([{ used: 10, charged: "counted" }]);
    expect(await exchange.charge(TOKENS, CHARGE)).toBe("counted");
    expect(steps).toMatchObject([{ limit: 10, settlements: [], charge: CHARGE }]);
    expect(exchange.isExhausted(TOKENS)).toBe(true);
    expect(exchange.look([TOKENS], NOW_MS)).toMatchObject({ ok: false, reason: "quota_exceeded" });
    expect(steps).toHaveLength(1);
  });

  test("that waits to be counted counts on this instance", () => {
    const { exchange } = open();
    exchange.charging(TOKENS, 9);
    expect(exchange.isExhausted(TOKENS)).toBe(false);
    exchange.charging(TOKENS, 1);
    expect(exchange.isExhausted(TOKENS)).toBe(true);
    exchange.charging(TOKENS, -1);
    expect(exchange.isExhausted(TOKENS)).toBe(false);
  });

  test("rejects if the store did not respond", async () => {
    await expect(open(["lost"]).exchange.charge(TOKENS, CHARGE)).rejects.toThrow("lost on purpose");
  });
});

test("a look reads the counter, and changes nothing in it", async () => {
  const { exchange, steps } = open([{ used: 10 }]);
  expect(await exchange.look([TOKENS], NOW_MS)).toMatchObject({ ok: false, reason: "quota_exceeded" });
  expect(steps).toMatchObject([{ settlements: [], limit: 10 }]);
  expect([steps[0]?.request, steps[0]?.charge]).toEqual([undefined, undefined]);
});
