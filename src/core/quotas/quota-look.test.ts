import { describe, expect, test } from "vitest";
import type { Quota } from "../policy/policy.ts";
import { createCalendars } from "./calendar.ts";
import { chargedDemands } from "./quota-demand.ts";
import { createQuotaLook } from "./quota-look.ts";
import type { QuotaReply } from "./quota-step.ts";

const BEGIN_MS = Date.UTC(2027, 4, 10, 12);
const DAY: Quota = { name: "daily", per: "key", limit: 100, every: "day", timeZone: "UTC", unit: "tokens" };
const calendars = createCalendars();

/** A counter whose reads are answered when the test says so. */
function open(fault: "count" | "deny" = "count") {
  const state = {
    nowMs: BEGIN_MS,
    used: 0,
    reads: 0,
    answers: [] as (() => void)[],
    holds: false,
    isUp: true,
  };
  const reply = (): QuotaReply => ({
    inWindows: true,
    nowMs: state.nowMs,
    windowMs: calendars(DAY)(state.nowMs).startMs,
    leftUs: 0,
    grantedUnits: 0,
    lifeUs: 0,
    isEnding: false,
    used: state.used,
    freeUnits: 0,
    leased: 0,
    expiredUnits: 0,
    crossed: 0,
    posted: undefined,
    charged: undefined,
  });
  const look = createQuotaLook({
    storeNowMs: () => state.nowMs,
    monotonicMs: () => state.nowMs,
    fault: () => fault,
    async read() {
      state.reads++;
      const answered = Promise.withResolvers<void>();
      if (state.holds) state.answers.push(answered.resolve);
      else answered.resolve();
      await answered.promise;
      if (!state.isUp) throw new Error("the store is unavailable");
      return reply();
    },
  });
  const [demand] = chargedDemands([DAY], { family: "x", role: "r" }, calendars);
  if (demand === undefined) throw new Error("a demand");
  const ask = () => look.look([demand], state.nowMs);
  return { state, look, demand, ask, reply };
}

describe("a look at a quota", () => {
  test("waits for the first read, and then for none while the key is busy", async () => {
    const { state, ask } = open();
    const first = ask();
    expect(first).toBeInstanceOf(Promise);
    expect((await first).ok).toBe(true);
    for (let passed = 0; passed < 10_000; passed += 100) {
      state.nowMs += 100;
      expect(ask()).not.toBeInstanceOf(Promise);
      // The background read is answered.
      await Promise.resolve().then(() => undefined);
      await new Promise(setImmediate);
    }
    expect(state.reads).toBeLessThanOrEqual(26);
  });

  test("is read again in the background from 400 ms on, and waited for from 800 ms on", async () => {
    const { state, ask } = open();
    await ask();
    state.nowMs += 400;
    expect(ask()).not.toBeInstanceOf(Promise);
    expect(state.reads).toBe(1);
    state.holds = true;
    state.nowMs += 1;
    expect(ask()).not.toBeInstanceOf(Promise);
    expect(state.reads).toBe(2);
    state.nowMs += 399;
    expect(ask()).not.toBeInstanceOf(Promise);
    state.nowMs += 1;
    const waits = ask();
    expect(waits).toBeInstanceOf(Promise);
    for (const answer of state.answers) answer();
    // The read was sent 400 ms ago: it shows the counter of that time.
    expect((await waits).ok).toBe(true);
    expect(state.reads).toBe(2);
  });

  test("has what is left: without the units that are used, leased, or wait to be counted", async () => {
    const { state, look, demand, ask, reply } = open();
    state.used = 30;
    await ask();
    look.onReply(demand.counterId, { ...reply(), leased: 20 }, state.nowMs);
    look.waiting(demand.counterId, 5);
    look.waiting(demand.counterId, 2);
    expect(await ask()).toMatchObject({
      ok: true,
      rates: [{ name: "daily", capacity: 100, remaining: 43, windowSeconds: 86_400, resetSeconds: 43_200 }],
    });
    expect(look.isExhausted(demand)).toBe(false);
    state.used = 93;
    look.onReply(demand.counterId, reply(), state.nowMs);
    expect(look.isExhausted(demand)).toBe(true);
    expect(await ask()).toMatchObject({ ok: false, rates: [{ remaining: 0 }] });
  });

  test("ignores a reply for a time outside the windows of the instance", async () => {
    const { state, look, demand, ask, reply } = open();
    state.used = 100;
    await ask();
    look.onReply(
      demand.counterId,
      { ...reply(), inWindows: false, used: 0, nowMs: state.nowMs + 5 },
      state.nowMs,
    );
    expect((await ask()).ok).toBe(false);
  });

  test("denies by the exhausted quota with the longest wait", async () => {
    const { state, look, demand } = open();
    const quotas: readonly Quota[] = [
      { ...DAY, name: "hourly", every: "hour" },
      { ...DAY, name: "monthly", every: "month" },
      DAY,
    ];
    const demands = chargedDemands(quotas, { family: "x", role: "r" }, calendars);
    await look.look(demands, state.nowMs);
    for (const { counterId, quota } of demands) if (quota.name !== "monthly") look.waiting(counterId, 100);
    expect(await look.look(demands, state.nowMs)).toMatchObject({
      ok: false,
      retryAfterSeconds: 12 * 3600,
      quota: { name: "daily", limit: 100, resetsAtMs: Date.UTC(2027, 4, 11) },
      rates: [{ name: "hourly" }, { name: "monthly" }, { name: "daily" }],
    });
    look.waiting(demand.counterId, -100);
    expect(await look.look(demands, state.nowMs)).toMatchObject({ quota: { name: "hourly" } });
  });

  test("is never older than 800 ms", async () => {
    const { state, ask } = open();
    await ask();
    state.used = 100;
    state.nowMs += 801;
    expect(await ask()).toMatchObject({ ok: false, reason: "quota_exceeded", quota: { name: "daily" } });
  });

  test("shares one read among all requests that wait", async () => {
    const { state, ask } = open();
    state.holds = true;
    const asked = [ask(), ask(), ask()];
    for (const answer of state.answers) answer();
    expect((await Promise.all(asked)).map(({ ok }) => ok)).toEqual([true, true, true]);
    expect(state.reads).toBe(1);
  });

  test("knows the charges of its own instance at once, and the new window after its begin", async () => {
    const { state, look, demand, ask } = open();
    await ask();
    look.waiting(demand.counterId, 100);
    expect(look.isExhausted(demand)).toBe(true);
    const denied = await ask();
    expect(denied).toMatchObject({ ok: false, retryAfterSeconds: 12 * 3600 });
    look.waiting(demand.counterId, -100);
    expect((await ask()).ok).toBe(true);
    state.used = 100;
    state.nowMs += 1000;
    expect((await ask()).ok).toBe(false);
    state.used = 0;
    state.nowMs = Date.UTC(2027, 4, 11);
    expect((await ask()).ok).toBe(true);
  });

  test("ignores a reply that is older than the known one", async () => {
    const { state, look, demand, ask, reply } = open();
    const old = reply();
    state.nowMs += 10;
    state.used = 100;
    await ask();
    look.onReply(demand.counterId, old, state.nowMs);
    expect((await ask()).ok).toBe(false);
  });

  test.each(["count", "deny"] as const)(
    "without the store follows faults.quotas: %s, and denies what it knows",
    async (fault) => {
      const { state, ask } = open(fault);
      state.isUp = false;
      const unknown = fault === "count" ? { ok: true } : { ok: false, reason: "limits_unavailable" };
      expect(await ask()).toMatchObject(unknown);
      state.isUp = true;
      state.used = 100;
      expect((await ask()).ok).toBe(false);
      state.isUp = false;
      state.nowMs += 60_000;
      expect(await ask()).toMatchObject({ ok: false, reason: "quota_exceeded" });
    },
  );

  test("without the store denies with `deny` if one of several quotas is unknown", async () => {
    const { state, look, ask } = open("deny");
    expect((await ask()).ok).toBe(true);
    state.isUp = false;
    const quotas = [DAY, { ...DAY, name: "monthly", every: "month" } as const];
    const demands = chargedDemands(quotas, { family: "x", role: "r" }, calendars);
    expect(await look.look(demands, state.nowMs)).toEqual({
      ok: false,
      reason: "limits_unavailable",
      retryAfterSeconds: 1,
      rates: [],
    });
  });

  test("is forgotten with a reset", async () => {
    const { state, look, demand, ask } = open();
    state.used = 100;
    expect((await ask()).ok).toBe(false);
    state.used = 0;
    look.forget(demand.counterId);
    expect((await ask()).ok).toBe(true);
  });
});
