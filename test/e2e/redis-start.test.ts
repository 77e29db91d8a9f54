import { createServer } from "node:net";
import { expect, test } from "vitest";
import { startFaultRelay } from "../support/fault-relay.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startRedis, urlBy } from "../support/redis.ts";

/** A port that was free a moment ago: whoever asks before the start is over must know it. */
async function freeAddress(): Promise<string> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

test("an instance without a snapshot of the revocations is not ready, says by part why, and lets nobody in", async () => {
  const redis = await startRedis();
  const relay = await startFaultRelay(redis.port);
  relay.set({ kind: "delay", ms: 60 });
  const [OPS_LISTEN, HTTP_LISTEN] = [await freeAddress(), await freeAddress()];
  const starting = startLatchkey({
    JWT_SECRET: newSecret(),
    REDIS_URL: urlBy(relay.port),
    OPS_LISTEN,
    HTTP_LISTEN,
  });
  const readyz = () => fetch(`http://${OPS_LISTEN}/readyz`).catch(() => undefined);
  await expect.poll(async () => (await readyz())?.status, { timeout: 20_000, interval: 5 }).toBe(503);
  expect(await (await readyz())?.json()).toEqual({
    status: "not_ready",
    parts: { instance: "starting", revocations: "not_ready", secrets: "not_ready" },
  });
  expect((await fetch(`http://${OPS_LISTEN}/livez`)).status).toBe(200);
  await expect(fetch(`http://${HTTP_LISTEN}/api/auth/v2/validate`)).rejects.toThrow();
  relay.set({ kind: "pass" });
  const latchkey = await starting;
  expect((await readyz())?.status).toBe(200);
  await latchkey.stop();
  await relay.close();
  await redis.stop();
});

test("without a Redis an instance does not start, and says what it could not reach", async () => {
  const redis = await startRedis();
  await redis.stop();
  await expect(startLatchkey({ JWT_SECRET: newSecret(), REDIS_URL: redis.url })).rejects.toThrow(
    "Redis cannot be reached: connect ECONNREFUSED",
  );
});
