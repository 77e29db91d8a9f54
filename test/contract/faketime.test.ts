import { describe, expect, test } from "vitest";
import { newFakeClock } from "../support/faketime.ts";
import { startRedis } from "../support/redis.ts";

/** Seconds by which Redis's clock is ahead of this machine's. */
async function aheadSeconds(redis: { cli(...args: readonly string[]): Promise<string> }): Promise<number> {
  const [seconds] = (await redis.cli("TIME")).split("\n");
  return Number(seconds) - Date.now() / 1000;
}

describe("a fake clock", () => {
  test("a fake clock is the wall clock of the process that starts with it, and of no other", async () => {
    const clock = await newFakeClock(90);
    const redis = await startRedis({ env: clock.env });
    expect(Math.abs((await aheadSeconds(redis)) - 90)).toBeLessThan(30);
    clock.set(-86_400);
    expect(Math.abs((await aheadSeconds(redis)) + 86_400)).toBeLessThan(30);
    clock.freeze(1_800_000_000);
    expect((await redis.cli("TIME")).split("\n")).toEqual(["1800000000", "0"]);
    await redis.stop();
  });
});
