import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createClock, FORGET_MARGIN_MS } from "./clock.ts";

const START = 1_800_000_000_000;
const DAY = 86_400_000;

/** A machine whose clocks the test sets. */
function machine(shared = true) {
  const state = { monotonicMs: 5000, wallMs: START, storeMs: START };
  const jumps: string[] = [];
  const clock = createClock({
    shared,
    wallMs: () => state.wallMs,
    monotonicMs: () => state.monotonicMs,
    onJump: (name, byMs) => jumps.push(`${name} ${Math.round(byMs / 1000)}`),
  });
  const pass = (ms: number) => {
    state.monotonicMs += ms;
    state.wallMs += ms;
    state.storeMs += ms;
  };
  return { state, clock, jumps, pass, readStore: () => clock.applyStoreTime(state.storeMs) };
}

describe("the clock of an instance with a shared store", () => {
  test("is the store's from the first reading on, however wrong its own clock is", () => {
    for (const offsetMs of [-8 * DAY, -60_000, 0, 60_000, 8 * DAY]) {
      const { state, clock, readStore, pass } = machine();
      state.wallMs += offsetMs;
      readStore();
      pass(1500);
      expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.storeMs, state.storeMs]);
    }
  });

  test("follows a forward jump of its own clock until the next reading of the store's, and no backward jump", () => {
    const { state, clock, readStore, pass, jumps } = machine();
    readStore();
    state.wallMs += 8 * DAY;
    expect(clock.nowMs()).toBe(START + 8 * DAY);
    pass(10);
    readStore();
    expect(clock.nowMs()).toBe(state.storeMs);
    state.wallMs -= 16 * DAY;
    expect(clock.nowMs()).toBe(state.storeMs);
    expect(jumps).toEqual(["wall 691200", "wall -691200"]);
  });

  test("uses its own time for expiry and the store's for dates, for a minute after a jump of the store's clock", () => {
    const { state, clock, readStore, pass, jumps } = machine();
    readStore();
    state.storeMs += 8 * DAY;
    readStore();
    expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.wallMs, state.storeMs]);
    pass(59_000);
    readStore();
    expect(clock.nowMs()).toBe(state.wallMs);
    pass(1000);
    readStore();
    expect(clock.nowMs()).toBe(state.storeMs);
    expect(jumps).toEqual(["store 691200"]);
  });

  test("follows a new primary with a small clock difference at once, so that its keys are valid", () => {
    const { state, clock, readStore, jumps } = machine();
    readStore();
    for (const offsetMs of [60_000, -120_000]) {
      state.storeMs += offsetMs;
      readStore();
      expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.storeMs, state.storeMs]);
    }
    expect(jumps).toEqual(["store 60", "store -120"]);
    expect(clock.forgetBeforeMs()).toBeUndefined();
  });

  test("takes a reading for the middle of its request and its reply", () => {
    const { state, clock, pass } = machine();
    const sentMs = state.monotonicMs;
    pass(500);
    const readMs = state.storeMs;
    pass(500);
    clock.applyStoreTime(readMs, sentMs);
    expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.storeMs, state.storeMs]);
  });

  test("has whole milliseconds, rounded down", () => {
    const { state, clock, readStore } = machine();
    for (const name of ["wallMs", "storeMs"] as const) state[name] += 0.9;
    expect([clock.nowMs(), clock.storeNowMs(), clock.forgetBeforeMs()]).toEqual([
      ...[START, START, START - FORGET_MARGIN_MS],
    ]);
    readStore();
    expect([clock.nowMs(), clock.storeNowMs(), clock.forgetBeforeMs()]).toEqual([
      ...[START, START, START - FORGET_MARGIN_MS],
    ]);
  });

  test("follows the wall clock forward after a sleep, until a reading that was made after it", () => {
    const { state, clock, readStore, pass } = machine();
    readStore();
    const beforeMs = state.storeMs;
    state.wallMs += 3 * DAY;
    state.storeMs += 3 * DAY;
    // The reply was sent before the sleep.
    clock.applyStoreTime(beforeMs);
    expect(clock.nowMs()).toBe(state.wallMs);
    pass(1);
    readStore();
    expect(clock.nowMs()).toBe(state.storeMs);
  });

  test("follows the store's clock without a jump while the difference is small", () => {
    for (const offsetMs of [2000, -2000]) {
      const { state, clock, readStore, jumps } = machine();
      readStore();
      state.storeMs += offsetMs;
      readStore();
      expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.storeMs, state.storeMs]);
      expect(jumps).toEqual([]);
      expect(clock.forgetBeforeMs()).toBe(Math.min(state.storeMs, state.wallMs) - FORGET_MARGIN_MS);
    }
  });

  test("follows a jump of up to five minutes at once, and a larger one after a minute", () => {
    for (const [offsetMs, isFollowed] of [
      [2001, true],
      [300_000, true],
      [-300_000, true],
      [300_001, false],
      [-300_001, false],
    ] as const) {
      const { state, clock, readStore, jumps } = machine();
      readStore();
      state.storeMs += offsetMs;
      readStore();
      expect([offsetMs, clock.nowMs()]).toEqual([offsetMs, isFollowed ? state.storeMs : state.wallMs]);
      expect(jumps).toHaveLength(1);
    }
  });

  test("waits a whole minute again after a jump that was undone, or that changed", () => {
    for (const nextMs of [0, 16 * DAY]) {
      const { state, clock, readStore, pass } = machine();
      readStore();
      state.storeMs += 8 * DAY;
      readStore();
      pass(30_000);
      state.storeMs = state.wallMs + nextMs;
      readStore();
      state.storeMs = state.wallMs + 16 * DAY;
      pass(20_000);
      readStore();
      pass(20_000);
      readStore();
      expect(clock.nowMs()).toBe(state.wallMs);
      pass(40_000);
      readStore();
      expect(clock.nowMs()).toBe(state.storeMs);
    }
  });

  test("reports a jump again only if its size changes", () => {
    const { state, readStore, pass, jumps } = machine();
    readStore();
    for (const offsetMs of [8 * DAY, 2000, 2001, 0]) {
      state.storeMs += offsetMs;
      readStore();
      pass(1000);
    }
    expect(jumps).toEqual(["store 691200", "store 691204"]);
  });

  test("forgets nothing for an hour after a jump of either clock, by monotonic time", () => {
    for (const clockName of ["wallMs", "storeMs"] as const) {
      const { state, clock, readStore, pass } = machine();
      readStore();
      expect(clock.forgetBeforeMs()).toBe(START - FORGET_MARGIN_MS);
      pass(1000);
      state[clockName] += 60_000;
      readStore();
      pass(3_599_999);
      readStore();
      expect(clock.forgetBeforeMs()).toBeUndefined();
      pass(1);
      readStore();
      expect(clock.forgetBeforeMs()).toBe(START + 3_601_000 - FORGET_MARGIN_MS);
    }
  });

  test("forgets by the store's last reading, also if its jump was never confirmed", () => {
    const { state, clock, readStore, pass } = machine();
    readStore();
    state.storeMs -= 8 * DAY;
    readStore();
    pass(3_600_000);
    expect(clock.forgetBeforeMs()).toBe(state.storeMs - FORGET_MARGIN_MS);
  });

  test("forgets by the earliest of its clocks", () => {
    const { state, clock, readStore, pass } = machine();
    state.wallMs += 30_000;
    readStore();
    expect(clock.forgetBeforeMs()).toBe(START - FORGET_MARGIN_MS);
    const late = machine();
    late.state.wallMs -= 30_000;
    late.readStore();
    expect(late.clock.forgetBeforeMs()).toBe(START - 30_000 - FORGET_MARGIN_MS);
    pass(1000);
    expect(clock.forgetBeforeMs()).toBe(START + 1000 - FORGET_MARGIN_MS);
  });

  test("continues from the common time of both clocks after a sleep of the machine", () => {
    const { state, clock, readStore } = machine();
    readStore();
    state.wallMs += 3 * DAY;
    state.storeMs += 3 * DAY;
    readStore();
    expect(clock.nowMs()).toBe(START + 3 * DAY);
  });
});

describe("the clock of an instance without a shared store", () => {
  test("does not step back within the minute after a jump, then follows it", () => {
    const { state, clock, pass } = machine(false);
    clock.nowMs();
    state.wallMs -= DAY;
    expect([clock.nowMs(), clock.storeNowMs()]).toEqual([START, START]);
    pass(60_000);
    clock.nowMs();
    pass(1);
    expect(clock.storeNowMs()).toBe(state.wallMs);
  });

  test("follows a small difference without a jump", () => {
    for (const offsetMs of [2000, -2000]) {
      const { state, clock, jumps } = machine(false);
      clock.nowMs();
      state.wallMs += offsetMs;
      expect([clock.nowMs(), clock.storeNowMs(), jumps]).toEqual([state.wallMs, state.wallMs, []]);
    }
  });

  test("has no store's time", () => {
    const { clock, state } = machine(false);
    clock.applyStoreTime(START + DAY);
    expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.wallMs, state.wallMs]);
    expect(clock.forgetBeforeMs()).toBe(START - FORGET_MARGIN_MS);
  });

  test("follows a forward jump for expiry at once, and for dates after a minute", () => {
    const { state, clock, pass, jumps } = machine(false);
    clock.nowMs();
    state.wallMs += DAY;
    expect([clock.nowMs(), clock.storeNowMs()]).toEqual([START + DAY, START]);
    pass(60_000);
    expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.wallMs, state.wallMs]);
    expect(jumps).toEqual(["wall 86400"]);
  });

  test("after a start at an unconfirmed time nothing is forgotten for an hour", () => {
    const { clock, pass } = machine(false);
    clock.doubt();
    pass(3_599_999);
    expect(clock.forgetBeforeMs()).toBeUndefined();
    pass(1);
    expect(clock.forgetBeforeMs()).toBeDefined();
  });
});

test("for any jumps of either clock, nothing is forgotten too early", () => {
  const step = fc.record({
    passMs: fc.integer({ min: 0, max: 7_200_000 }),
    jumpMs: fc.integer({ min: -20 * DAY, max: 20 * DAY }),
    reads: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 20 }),
      fc.constantFrom("wallMs", "storeMs"),
      (steps, wrongClock) => {
        const { state, clock, readStore, pass } = machine();
        readStore();
        for (const { passMs, jumpMs, reads } of steps) {
          pass(passMs);
          state[wrongClock] += jumpMs;
          if (reads) readStore();
          const before = clock.forgetBeforeMs();
          const correctMs = wrongClock === "wallMs" ? state.storeMs : state.wallMs;
          if (before !== undefined) expect(before).toBeLessThanOrEqual(correctMs - FORGET_MARGIN_MS + 1);
        }
      },
    ),
  );
});
