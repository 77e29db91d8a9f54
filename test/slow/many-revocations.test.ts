import { expect, test } from "vitest";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { snapshot } from "../../src/redis/snapshot.ts";
import { fillWithEndedKeys } from "../support/ended-keys.ts";
import { startRedis } from "../support/redis.ts";

const KEYS = 100_000;
/** The guarantee is 2 s; a busy machine gets more (`npm run bench:revocation` measures it). */
const LOADED_WITHIN_MS = 8000;

test("100,000 ended keys are loaded in portions that never block the event loop for long", async () => {
  const redis = await startRedis();
  await fillWithEndedKeys(redis, KEYS);
  const client = await connectRedis({ url: redis.url, commandTimeoutMs: 2000 });
  const view = createInstanceView();
  const sinceMs = performance.now();
  let largest = 0;
  for await (const portion of snapshot(client)) {
    view.apply(portion);
    largest = Math.max(largest, portion.length);
  }
  expect(performance.now() - sinceMs).toBeLessThan(LOADED_WITHIN_MS);
  expect(view.size()).toBe(KEYS);
  expect(largest).toBeLessThan(1000);
  await client.close();
  await redis.stop();
});
