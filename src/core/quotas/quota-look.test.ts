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

  test("is forgotten with a reset", async () => {
    const { state, look, demand, ask } = open();
    state.used = 100;
    expect((await ask()).ok).toBe(false);
    state.used = 0;
    look.forget(demand.counterId);
    expect((await ask()).ok).toBe(true);
  });
});
