import { expect, test } from "vitest";
import { createBreaker } from "./breaker.ts";

const open = () => {
  const breaker = createBreaker({ threshold: 3, probeEveryMs: 100 });
  for (const ms of [10, 20, 30]) breaker.failed(ms);
  return breaker;
};

test("before its threshold a breaker admits everything", () => {
  const breaker = createBreaker({ threshold: 3, probeEveryMs: 100 });
  for (const ms of [10, 20]) {
    expect([breaker.admits(ms), breaker.admits(ms)]).toEqual([true, true]);
    breaker.failed(ms);
  }
  expect([breaker.admits(20), breaker.admits(20)]).toEqual([true, true]);
});

test("an open breaker admits one probe per interval, also after further failures", () => {
  const breaker = open();
  expect([30, 129, 130, 130, 229, 230].map((ms) => breaker.admits(ms))).toEqual([
    false,
    false,
    true,
    false,
    false,
    true,
  ]);
  // A failed probe does not postpone the next one.
  breaker.failed(329);
  expect([329, 330].map((ms) => breaker.admits(ms))).toEqual([false, true]);
});

test("a success closes it, and failures are counted again from the first", () => {
  const breaker = open();
  breaker.succeeded();
  expect(breaker.admits(31)).toBe(true);
  breaker.failed(40);
  breaker.failed(50);
  expect(breaker.admits(51)).toBe(true);
  breaker.failed(60);
  expect([breaker.admits(159), breaker.admits(160)]).toEqual([false, true]);
});

test("an outage lasts from the first failure to the next success", () => {
  const breaker = createBreaker({ threshold: 3, probeEveryMs: 100 });
  expect(breaker.outage()).toBeUndefined();
  breaker.failed(10);
  const first = breaker.outage();
  breaker.failed(20);
  expect(breaker.outage()).toBe(first);
  expect([first?.sinceMs, first?.isOver()]).toEqual([10, false]);
  breaker.succeeded();
  expect([breaker.outage(), first?.isOver()]).toEqual([undefined, true]);
  breaker.failed(30);
  expect([breaker.outage()?.sinceMs, first?.isOver()]).toEqual([30, true]);
});
