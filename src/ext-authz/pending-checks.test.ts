import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Decision } from "../core/decision/decision.ts";
import { deny } from "../core/decision/decision.ts";
import { createPendingChecks, MAX_PENDING_CHECKS } from "./pending-checks.ts";

const DENIED = deny("route_unknown");

/** A Check whose decision the test settles, and its responses. */
function checkWaiting(waitMs: number, pending = createPendingChecks()) {
  const { promise, resolve, reject } = Promise.withResolvers<Decision>();
  const called: string[] = [];
  const respond = (text: string) => {
    called.push(text);
    return text;
  };
  const response = pending.respondWithin(promise, waitMs, {
    decided: ({ reason }) => respond(reason),
    failed: (error) => respond(String(error)),
    late: () => respond("late"),
  });
  return { response, called, resolve, reject };
}

describe("a Check has one response", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  test.each<readonly [what: string, settle: (check: ReturnType<typeof checkWaiting>) => void, text: string]>([
    ["the decision", ({ resolve }) => resolve(DENIED), "route_unknown"],
    ["the fault of the decision", ({ reject }) => reject(new Error("broken")), "Error: broken"],
  ])("%s, if it comes in time; then no timer remains", async (_what, settle, text) => {
    const check = checkWaiting(100);
    await vi.advanceTimersByTimeAsync(99);
    await turn();
    expect(check.called).toEqual([]);
    settle(check);
    await vi.advanceTimersByTimeAsync(0);
    expect([check.called, vi.getTimerCount()]).toEqual([[text], 0]);
    expect(await check.response).toBe(text);
  });

  test.each<readonly [what: string, settle: (check: ReturnType<typeof checkWaiting>) => void]>([
    ["a decision", ({ resolve }) => resolve(DENIED)],
    ["a fault", ({ reject }) => reject(new Error("broken"))],
  ])("that it is late, and %s after that is ignored", async (_what, settle) => {
    const check = checkWaiting(100);
    await vi.advanceTimersByTimeAsync(100);
    await turn();
    expect(check.called).toEqual(["late"]);
    settle(check);
    await vi.advanceTimersByTimeAsync(0);
    expect(check.called).toEqual(["late"]);
    expect(await check.response).toBe("late");
  });

  test("the decision, if the process reads it together with its deadline", async () => {
    const check = checkWaiting(100);
    vi.advanceTimersByTime(100);
    check.resolve(DENIED);
    await turn();
    expect(check.called).toEqual(["route_unknown"]);
  });
});

test("Checks are pending until their decision settles, also after their response, and up to the limit", async () => {
  const pending = createPendingChecks();
  const [late, last] = [checkWaiting(1, pending), checkWaiting(60_000, pending)];
  const others = Promise.withResolvers<Decision>();
  const wait = () =>
    pending.respondWithin(others.promise, 60_000, { decided: () => "", failed: () => "", late: () => "" });
  const waiting: Promise<string>[] = [];
  let wasFull = false;
  while (waiting.length < MAX_PENDING_CHECKS - 2) {
    wasFull ||= pending.isFull();
    waiting.push(wait());
  }
  expect(wasFull).toBe(false);
  expect(pending.isFull()).toBe(true);
  expect([await late.response, pending.isFull()]).toEqual(["late", true]);
  late.resolve(DENIED);
  await Promise.resolve();
  expect(pending.isFull()).toBe(false);
  waiting.push(wait());
  expect(pending.isFull()).toBe(true);
  last.reject(new Error("broken"));
  await last.response;
  expect(pending.isFull()).toBe(false);
  others.resolve(DENIED);
  await Promise.all(waiting);
});
