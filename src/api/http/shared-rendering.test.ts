import { expect, test } from "vitest";
import { shareRendering } from "./shared-rendering.ts";

function costly(tookMs: number) {
  let nowMs = 0;
  let rendered = 0;
  const read = shareRendering(
    async () => {
      nowMs += tookMs;
      return ++rendered;
    },
    { monotonicMs: () => nowMs, cpuMs: () => nowMs },
  );
  return { read, wait: (ms: number) => (nowMs += ms), rendered: () => rendered };
}

test("however many ask at once, it is rendered once", async () => {
  const { read } = costly(10);
  expect(await Promise.all(Array.from({ length: 100 }, read))).toEqual(Array(100).fill(1));
});

test("however often it is asked for, rendering takes at most a tenth of the time, and a text is never older than a second", async () => {
  for (const tookMs of [0.1, 10, 100]) {
    const { read, wait, rendered } = costly(tookMs);
    for (let ms = 0; ms < 60_000; ms += 10) {
      await read();
      wait(10);
    }
    expect(rendered() * tookMs).toBeLessThanOrEqual(60_000 / 9 + 2 * tookMs);
    expect(rendered()).toBeGreaterThanOrEqual(60_000 / 1100);
  }
});

test("a text that waits for others, and costs nothing itself, is new each time", async () => {
  let nowMs = 0;
  let rendered = 0;
  const read = shareRendering(
    async () => {
      nowMs += 500;
      return ++rendered;
    },
    { monotonicMs: () => nowMs, cpuMs: () => 0 },
  );
  expect([await read(), await read()]).toEqual([1, 2]);
});

test("what failed is tried again at once", async () => {
  let tries = 0;
  const read = shareRendering(
    async () => {
      if (++tries === 1) throw new Error("first");
      return tries;
    },
    { monotonicMs: () => 0, cpuMs: () => 0 },
  );
  await expect(read()).rejects.toThrow("first");
  expect(await read()).toBe(2);
});
