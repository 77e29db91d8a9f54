import { expect, test } from "vitest";
import { compact, keptCopy } from "./kept-bytes.ts";

test("what is kept for long has memory of its own, which is at most twice as large", () => {
  const pooled = Buffer.from("a small buffer in a shared block");
  expect(pooled.buffer.byteLength).toBeGreaterThan(2 * pooled.length);
  for (const kept of [keptCopy(pooled), compact(pooled)]) {
    expect(kept).toEqual(pooled);
    expect(kept.buffer.byteLength).toBe(pooled.length);
  }
});

test("a buffer that shrinks byte by byte is copied once for each halving", () => {
  let kept = keptCopy(Buffer.alloc(1024));
  let copies = 0;
  while (kept.length > 1) {
    const smaller = compact(kept.subarray(1));
    if (smaller.buffer !== kept.buffer) copies++;
    kept = smaller;
  }
  expect(copies).toBeLessThanOrEqual(11);
});

test("a buffer that uses half of its memory is not copied", () => {
  const half = keptCopy(Buffer.alloc(10)).subarray(5);
  expect(compact(half)).toBe(half);
  expect(compact(half.subarray(1)).buffer).not.toBe(half.buffer);
});
