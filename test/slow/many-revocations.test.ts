import { expect, test } from "vitest";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { SCAN_COUNT } from "../../src/redis/scan-pages.ts";
import { snapshot } from "../../src/redis/snapshot.ts";
import { fillWithEndedKeys, fillWithOverrides } from "../support/ended-keys.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const KEYS = 100_000;
/** Of CPU time. The guarantee is 2 s of a quiet machine (`npm run bench:revocation` measures it). */
const LOADED_WITHIN_MS = 8000;

test.each<readonly [what: string, fill: (redis: TestedRedis, count: number) => Promise<void>]>([
  ["ended keys", fillWithEndedKeys],
  ["overrides", fillWithOverrides],
])("100,000 %s are loaded in portions that never block the event loop for long", async (_what, fill) => {
  const redis = await startRedis();
  await fill(redis, KEYS);
  const client = await connectRedis({ url: redis.url, commandTimeoutMs: 2000 });
  const view = createInstanceView();
  const since = process.cpuUsage();
  let largest = 0;
  for await (const portion of snapshot(client)) {
    view.apply(portion);
    largest = Math.max(largest, portion.length);
  }
  const { user, system } = process.cpuUsage(since);
  expect((user + system) / 1000).toBeLessThan(LOADED_WITHIN_MS);
  expect(view.size()).toBe(KEYS);
  // SCAN may return more than it is asked for.
  expect(largest).toBeLessThan(1.5 * SCAN_COUNT);
  await client.close();
  await redis.stop();
});
