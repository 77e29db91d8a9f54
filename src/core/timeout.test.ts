import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import { expect, onTestFinished, test, vi } from "vitest";
import { stopFor } from "../../test/support/stop.ts";
import { responseBudgetMs, withTimeout } from "./timeout.ts";

test.each([
  [20, 15],
  [80, 60],
  [100, 80],
  [1000, 900],
  [60_000, 10_000],
  [Number.POSITIVE_INFINITY, 10_000],
  [0, 0],
  [-5, 0],
])("with %d ms left, a decision may take %d ms", (timeLeftMs, budgetMs) => {
  expect(responseBudgetMs(timeLeftMs)).toBe(budgetMs);
});

const never = new Promise<string>(() => undefined);

test("work in time decides, also if it fails", async () => {
  await expect(withTimeout(Promise.resolve("done"), 60_000, () => "late")).resolves.toBe("done");
  const failed = Promise.reject(new Error("failed"));
  await expect(withTimeout(failed, 60_000, () => "late")).rejects.toThrow("failed");
});

test("work in time leaves no timer", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  await withTimeout(Promise.resolve("done"), 60_000, () => "late");
  await expect(withTimeout(Promise.reject(new Error("failed")), 60_000, () => "late")).rejects.toThrow();
  expect(vi.getTimerCount()).toBe(0);
});

test("late work is replaced, and its later failure is no unhandled rejection", async () => {
  const { promise, reject } = Promise.withResolvers<string>();
  await expect(withTimeout(promise, 0, () => "late")).resolves.toBe("late");
  reject(new Error("later"));
  await expect(promise).rejects.toThrow("later");
});

test("work that has arrived while the process was stopped decides, although its time is over", async () => {
  const { port1, port2 } = new MessageChannel();
  const work = once(port1, "message");
  await turn(); // Due timers follow before anything is read.
  const result = withTimeout(work, 5, () => "late");
  port2.postMessage("done");
  stopFor(20);
  await expect(result).resolves.toMatchObject(["done"]);
  port1.close();
});

test("a fault in the replacement rejects instead of ending the process", async () => {
  const fault = () => {
    throw new Error("fault");
  };
  await expect(withTimeout(never, 0, fault)).rejects.toThrow("fault");
});
