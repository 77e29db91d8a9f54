import { expect, test } from "vitest";
import { observed } from "./timed-store.ts";

test("reports the end of each call and whether it failed, and does not change the calls", async () => {
  const reported: [call: string, failed: boolean][] = [];
  const store = {
    factor: 2,
    async load(value: number) {
      return this.factor * value;
    },
    commit: () => Promise.reject(new Error("database or disk is full")),
    async *viewEntries() {
      yield 1;
    },
  };
  const watched = observed(store, (call, elapsedMs, failed) => {
    expect(elapsedMs).toBeGreaterThanOrEqual(0);
    reported.push([call, failed]);
  });
  expect(await watched.load(21)).toBe(42);
  await expect(watched.commit()).rejects.toThrow("full");
  for await (const portion of watched.viewEntries()) expect(portion).toBe(1);
  expect(reported).toEqual([
    ["load", false],
    ["commit", true],
  ]);
});
