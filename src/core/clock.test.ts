import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createClock, FORGET_MARGIN_MS } from "./clock.ts";

const START = 1_800_000_000_000;
const DAY = 86_400_000;

/** A machine whose clocks are set by hand. */
function machine(shared = true) {
  const state = { monotonicMs: 5000, wallMs: START, storeMs: START };
  const jumps: string[] = [];
  const clock = createClock({
    shared,
    wallMs: () => state.wallMs,
    monotonicMs: () => state.monotonicMs,
    jumped: (name, byMs) => jumps.push(`${name} ${Math.round(byMs / 1000)}`),
  });
  const pass = (ms: number) => {
    state.monotonicMs += ms;
    state.wallMs += ms;
    state.storeMs += ms;
  };
  return { state, clock, jumps, pass, hear: () => clock.heard(state.storeMs) };
}

describe("the clock of an instance with a shared store", () => {
  test("is the store's, however far off its own is, from the first word on", () => {
    for (const offMs of [-8 * DAY, -60_000, 0, 60_000, 8 * DAY]) {
      const { state, clock, hear, pass } = machine();
      state.wallMs += offMs;
      hear();
      pass(1500);
      expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.storeMs, state.storeMs]);
    }
  });

  test("follows a jump of its own clock ahead until the store is heard, and no jump back", () => {
    const { state, clock, hear, pass, jumps } = machine();
    hear();
    state.wallMs += 8 * DAY;
    expect(clock.nowMs()).toBe(START + 8 * DAY);
    pass(10);
    hear();
    expect(clock.nowMs()).toBe(state.storeMs);
    state.wallMs -= 16 * DAY;
    expect(clock.nowMs()).toBe(state.storeMs);
    expect(jumps).toEqual(["wall 691200", "wall -691200"]);
  });

  test("judges by its own time while the store's has jumped for less than a minute, and dates by the store's", () => {
    const { state, clock, hear, pass, jumps } = machine();
    hear();
    state.storeMs += 8 * DAY;
    hear();
    expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.wallMs, state.storeMs]);
    pass(59_000);
    hear();
    expect(clock.nowMs()).toBe(state.wallMs);
    pass(1000);
    hear();
    expect(clock.nowMs()).toBe(state.storeMs);
    expect(jumps).toEqual(["store 691200"]);
  });

  test("follows a new primary whose clock is a little off at once: its keys are good", () => {
    const { state, clock, hear, jumps } = machine();
    hear();
    for (const offMs of [60_000, -120_000]) {
      state.storeMs += offMs;
      hear();
      expect([clock.nowMs(), clock.storeNowMs()]).toEqual([state.storeMs, state.storeMs]);
    }
    expect(jumps).toEqual(["store 60", "store -120"]);
    expect(clock.forgetBeforeMs()).toBeUndefined();
  });

  test("after a sleep of the machine goes on from the time that both clocks tell", () => {
    const { state, clock, hear } = machine();
    hear();
    state.wallMs += 3 * DAY;
    state.storeMs += 3 * DAY;
    hear();
    expect(clock.nowMs()).toBe(START + 3 * DAY);
  });
});

describe("the clock of an instance alone", () => {
  test("never steps back within the minute after a jump, then follows", () => {
    const { state, clock, pass } = machine(false);
    clock.nowMs();
    state.wallMs -= DAY;
    expect([clock.nowMs(), clock.storeNowMs()]).toEqual([START, START]);
    pass(60_000);
    clock.nowMs();
    pass(1);
    expect(clock.storeNowMs()).toBe(state.wallMs);
  });

  test("a start that nothing vouches for forgets nothing for an hour", () => {
    const { clock, pass } = machine(false);
    clock.doubt();
    pass(3_599_999);
    expect(clock.forgetBeforeMs()).toBeUndefined();
    pass(1);
    expect(clock.forgetBeforeMs()).toBeDefined();
  });
});

test("whichever one clock jumps, and however often: nothing is forgotten before its time", () => {
  const step = fc.record({
    passMs: fc.integer({ min: 0, max: 7_200_000 }),
    jumpMs: fc.integer({ min: -20 * DAY, max: 20 * DAY }),
    hears: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), fc.constantFrom("wallMs", "storeMs"), (steps, liar) => {
      const { state, clock, hear, pass } = machine();
      hear();
      for (const { passMs, jumpMs, hears } of steps) {
        pass(passMs);
        state[liar] += jumpMs;
        if (hears) hear();
        const before = clock.forgetBeforeMs();
        const honest = liar === "wallMs" ? state.storeMs : state.wallMs;
        if (before !== undefined) expect(before).toBeLessThanOrEqual(honest - FORGET_MARGIN_MS + 1);
      }
    }),
  );
});
