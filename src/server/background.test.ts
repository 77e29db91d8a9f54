import { expect, test, vi } from "vitest";
import type { BackgroundDeps } from "./background.ts";
import { startBackgroundWork } from "./background.ts";
import type { Runtime } from "./runtime.ts";

/** Background work of which only the last uses matter. `end` stops it, and records what waits. */
function recording() {
  const noted: (readonly [string, number])[] = [];
  let nowMs = 5000;
  const closes: (() => Promise<void>)[] = [];
  const runtime = {
    log: { info: vi.fn(), warn: vi.fn(), error: vi.fn() },
    shutdown: { defer: (_name: string, close: () => Promise<void>) => void closes.push(close) },
    clock: { storeNowMs: () => nowMs, forgetBeforeMs: () => undefined },
    metrics: { keys: { counted: vi.fn(), frozen: vi.fn() } },
    // The work reads nothing else of the runtime.
  } as unknown as Runtime;
  const store: BackgroundDeps["store"] = {
    noteUse: async (used) => void noted.push(...used),
    sweep: async () => 0,
    count: async () => ({ unexpired: 0, selfService: 0 }),
    frozenUntil: async () => undefined,
  };
  const work = startBackgroundWork(runtime, { store, view: { sweep: async () => undefined } });
  return {
    ...work,
    at(ms: number): void {
      nowMs = ms;
    },
    async end() {
      for (const close of closes) await close();
      return noted;
    },
  };
}

test("the last use of each key is recorded once, also if the same key was verified twice", async () => {
  const { recordUse, at, end } = recording();
  const key = { keyId: "a" };
  recordUse(key);
  recordUse({ keyId: "b" });
  at(7000);
  recordUse({ keyId: "b" });
  recordUse(key);
  at(8000);
  recordUse(key);
  expect(await end()).toEqual([
    ["a", 8],
    ["b", 7],
  ]);
});

test("a key that was recorded is recorded again after its next use", async () => {
  const { recordUse, at, end } = recording();
  const key: { keyId: string; usedAt?: number } = { keyId: "a" };
  recordUse(key);
  await end();
  expect(key.usedAt).toBeUndefined();
  at(9000);
  recordUse(key);
  expect(await end()).toEqual([
    ["a", 5],
    ["a", 9],
  ]);
});

test("beyond the maximum no further key waits, and those that wait are still updated", async () => {
  const { recordUse, at, end } = recording();
  const first = { keyId: "0" };
  recordUse(first);
  for (let other = 1; other < 100_001; other++) recordUse({ keyId: String(other) });
  at(6000);
  recordUse(first);
  const noted = await end();
  expect(noted.length).toBe(100_000);
  expect(noted[0]).toEqual(["0", 6]);
});
