import { expect, test } from "vitest";
import { shareRendering } from "./shared-rendering.ts";

function expensiveRendering(tookMs: number) {
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

test("concurrent callers share one rendering", async () => {
  const { read } = expensiveRendering(10);
  expect(await Promise.all(Array.from({ length: 100 }, read))).toEqual(Array(100).fill(1));
});

test("rendering takes at most a tenth of the time, and a text is never older than a second", async () => {
  for (const tookMs of [0.1, 10, 100]) {
    const { read, wait, rendered } = expensiveRendering(tookMs);
    for (let ms = 0; ms < 60_000; ms += 10) {
      await read();
      wait(10);
    }
    expect(rendered() * tookMs).toBeLessThanOrEqual(60_000 / 9 + 2 * tookMs);
    expect(rendered()).toBeGreaterThanOrEqual(60_000 / 1100);
  }
});

test("a rendering that only waits and takes no CPU time is not reused", async () => {
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

test("after a failure the next call renders again", async () => {
  let attempts = 0;
  const read = shareRendering(
    async () => {
      if (++attempts === 1) throw new Error("first");
      return attempts;
    },
    { monotonicMs: () => 0, cpuMs: () => 0 },
  );
  await expect(read()).rejects.toThrow("first");
  expect(await read()).toBe(2);
});
