import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { admits } from "../support/admitted.ts";
import { check } from "../support/checks.ts";
import { startEnvoy } from "../support/envoy.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { expectBound } from "../support/limit-bound.ts";
import { readMetrics } from "../support/metrics.ts";
import { startPartitionable } from "../support/partition.ts";
import { sentinelUrl } from "../support/sentinel.ts";
import { startUpstream } from "../support/upstream.ts";

const WITHIN = { timeout: 60_000, interval: 20 };
const MAX_LAG_MS = 2000;
const MAX_STALENESS_MS = 2000;
/** Requests after the partition, to see that limits hold on both sides. */
const FLOOD_MS = 3000;
const LIMIT = { capacity: 30, refillPerSecond: 10 };
const env = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
const policy = `
roles:
  basic:
    scopes: [a]
    ttl: 1d
    refresh_window: 1h
    rate_limits: [{ name: n, per: key, capacity: ${LIMIT.capacity}, refill: ${LIMIT.refillPerSecond}/s }]
routes: [{ path: /a/**, scopes: [a] }]
guards: { failures: 100000/s, open_calls: 100000/s }
faults: { limits: local, local_max: 1m, revocations: { max_staleness: 2s, then: deny } }
`;
const endings: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function startInstance(settings: Readonly<Record<string, string>>, upstreamPort: number) {
  const latchkey = await startLatchkey(
    { ...env, REDIS_COMMAND_TIMEOUT_MS: "500", REDIS_WAIT_REPLICAS: "1", ...settings },
    { policy },
  );
  const envoy = await startEnvoy({
    authzTarget: latchkey.grpc,
    upstreamPort,
  });
  endings.push(
    () => envoy.stop(),
    () => latchkey.stop(),
  );
  const operator = createClient({ url: `http://${latchkey.operator}`, token: env.ADMIN_TOKEN });
  return { latchkey, envoy, operator };
}

test("an instance alone with the old primary becomes stale and denies, and learns what it missed when the partition heals", async () => {
  const { primary, relay, sentinels, natMap, stop } = await startPartitionable();
  endings.push(stop);
  const relays = await Promise.all(sentinels.map(startFaultRelay));
  const upstream = await startUpstream();
  endings.push(upstream.stop, ...relays.map((one) => one.close));
  const alone = await startInstance(
    {
      REDIS_URL: sentinelUrl(relays.map(({ port }) => port)),
      REDIS_NAT_MAP: natMap,
    },
    upstream.port,
  );
  const other = await startInstance({ REDIS_URL: sentinelUrl(sentinels) }, upstream.port);
  const register = () => other.operator.register({ name: "n", key_type: "basic" });
  const [ended, limited] = [await register(), await register()];
  const verdict = (key: string) => admits(alone.latchkey, key);
  expect([await verdict(ended.api_key), await verdict(limited.api_key)]).toEqual([true, true]);

  const admitted: number[] = [];
  const beginMs = performance.now();
  for (const one of [relay, ...relays]) one.set({ kind: "black-hole" });
  const flood = [alone, other].map(async ({ envoy }) => {
    while (performance.now() < beginMs + FLOOD_MS) {
      const { status } = await check(envoy, "/a/x", limited.api_key);
      if (status === 200) admitted.push(performance.now());
      await pause(5);
    }
  });
  // The old primary still answers reads.
  expect(await primary.cli("PING")).toBe("PONG");
  const stale = async () => {
    await vi.waitFor(async () => expect(await verdict(ended.api_key)).toBe("revocations-stale"), WITHIN);
    return performance.now() - beginMs;
  };
  // The other instance can write once a replica has been promoted, which takes a slow machine longer.
  const [staleMs] = await Promise.all([
    stale(),
    vi.waitFor(() => other.operator.keys.revoke(ended.key_id), WITHIN),
  ]);
  // A lag is counted in whole seconds, and a busy machine takes its time.
  expect(staleMs).toBeLessThan(MAX_LAG_MS + MAX_STALENESS_MS + 10_000);
  const readyz = await fetch(`http://${alone.latchkey.ops}/readyz`);
  expect(await readyz.json()).toMatchObject({ status: "not_ready", parts: { revocations: "not_ready" } });
  await expect(alone.operator.register({ name: "n", key_type: "basic" })).rejects.toMatchObject({
    status: 503,
  });
  await Promise.all(flood);
  const splitSeconds = (performance.now() - beginMs) / 1000;
  expectBound(admitted, { ...LIMIT, outageSeconds: splitSeconds, lost: LIMIT.capacity });

  for (const one of [relay, ...relays]) {
    one.set({ kind: "pass" });
    one.reset();
  }
  await vi.waitFor(async () => expect(await verdict(ended.api_key)).toBe("key-revoked"), WITHIN);
  expect(await verdict(limited.api_key)).toBe(true);
  const failovers = async () => (await readMetrics(alone.latchkey.ops)).get("latchkey_redis_failovers_total");
  await expect.poll(failovers).toBe(1);
  console.log(`stale after ${staleMs.toFixed(0)} ms, with min-replicas-max-lag 2 and max_staleness 2s`);
});
