import { expect, test } from "vitest";
import { createBreaker } from "../../src/core/limits/breaker.ts";
import { createLeasePool } from "../../src/core/limits/lease-pool.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { createLeaseStore } from "../../src/redis/lease-store.ts";
import { spreadOnOneServer } from "../../src/redis/spread-client.ts";
import { startRedis } from "../support/redis.ts";

const SPAN_SECONDS = 10;
const limit = { name: "hot", per: "key", capacity: 100, refillPerSecond: 50, leased: true } as const;
const ideal = limit.capacity + limit.refillPerSecond * SPAN_SECONDS;

test("a hot key at ten times its rate, over four instances for 10 s, is admitted between 95% and 100% of C + r·T", async () => {
  const redis = await startRedis();
  const monotonicMs = () => performance.now();
  const instances = await Promise.all(
    [0, 1, 2, 3].map(async (at) => {
      const client = await connectRedis({ url: redis.url, commandTimeoutMs: 1000 });
      const store = createLeaseStore(spreadOnOneServer(client), {
        newBreaker: () => createBreaker({ threshold: 3, probeEveryMs: 100 }),
        monotonicMs,
      });
      const withoutStore = {
        take: () => ({ ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] }) as const,
      };
      const pool = createLeasePool({
        store,
        monotonicMs,
        instanceId: `hot${at}`,
        maxBuckets: 10,
        fallback: withoutStore,
      });
      const sweeping = setInterval(() => void pool.sweep(), 50);
      const close = () => {
        clearInterval(sweeping);
        return client.close();
      };
      return { pool, close };
    }),
  );
  let admitted = 0;
  let next = 0;
  let firstMs: number | undefined;
  let lastMs = 0;
  const takeOnce = async () => {
    const outcome = await instances[next++ % instances.length]?.pool.take([{ bucketId: "hot", limit }], 1, 0);
    if (!outcome?.ok) return;
    admitted++;
    lastMs = performance.now();
    firstMs ??= lastMs;
  };
  const endMs = performance.now() + SPAN_SECONDS * 1000;
  while (performance.now() < endMs) {
    // Ten times the rate, in steps of 20 ms.
    await Promise.all(Array.from({ length: (limit.refillPerSecond * 10) / 50 }, takeOnce));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const spanSeconds = (lastMs - (firstMs ?? lastMs)) / 1000;
  await Promise.all(instances.map(({ close }) => close()));
  await redis.stop();
  expect(admitted).toBeLessThanOrEqual(limit.capacity + limit.refillPerSecond * spanSeconds + 1);
  expect(admitted).toBeGreaterThanOrEqual(0.95 * ideal);
});
