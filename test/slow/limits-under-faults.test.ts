import { afterEach, describe, expect, test } from "vitest";
import { connectRedis } from "../../src/redis/client.ts";
import { spreadOnOneServer } from "../../src/redis/spread-client.ts";
import { createSharedBuckets } from "../../src/server/shared-buckets.ts";
import type { FaultRelay, RelayFault } from "../support/fault-relay.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { expectBound } from "../support/limit-bound.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis, urlBy } from "../support/redis.ts";

const INSTANCES = 4;
const LOCAL_MAX_MS = 5000;
const limit = { name: "n", per: "key", capacity: 40, refillPerSecond: 20, leased: true } as const;
const endings: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/**
 * One instance with the components of the real process, behind its own relay; the test sends its heartbeats.
 */
async function startInstance(redis: TestedRedis, number: number) {
  const relay: FaultRelay = await startFaultRelay(redis.port);
  endings.push(relay.close);
  const client = await connectRedis({ url: urlBy(relay.port), commandTimeoutMs: 50 });
  client.finishStartup();
  endings.push(client.close);
  // The test sets the begin of the store's epoch, so its memory is old enough.
  const { pool, descriptorPool, membership } = createSharedBuckets({
    client,
    spread: spreadOnOneServer(client),
    instanceId: `i${number}`,
    monotonicMs: () => performance.now(),
    faults: () => ({ limits: "local", localMaxMs: LOCAL_MAX_MS }),
    newRandom: () => "r",
    maxBuckets: 100,
    maxDescriptorBuckets: 3,
  });
  const sweeping = setInterval(() => void pool.sweep(), 50);
  endings.push(() => clearInterval(sweeping));
  return { relay, membership, pool, descriptorPool };
}

async function startFleet(redis: TestedRedis) {
  await redis.cli("SET", "latchkey:epoch", "old 1");
  const fleet = await Promise.all(Array.from({ length: INSTANCES }, (_, at) => startInstance(redis, at)));
  // An instance serves its share once all others have sent a heartbeat since it joined: the third round, or a later one if
  // the rounds take less than the millisecond in which Redis counts.
  while (!fleet.every(({ membership }) => membership.current()?.counted))
    for (const { membership } of fleet) await membership.heartbeat();
  return fleet;
}

/**
 * Floods all instances for a while, and until more than this number was admitted. Every request gets a
 * response.
 */
async function flood(fleet: Awaited<ReturnType<typeof startFleet>>, seconds: number, moreThan = -1) {
  const admitted: number[] = [];
  let asked = 0;
  let answered = 0;
  const endMs = performance.now() + seconds * 1000;
  await Promise.all(
    fleet.map(async ({ pool }) => {
      while (performance.now() < endMs || admitted.length <= moreThan) {
        asked++;
        const outcome = await pool.take([{ bucketId: "b", limit }], 1, 0);
        answered++;
        if (outcome.ok) admitted.push(performance.now());
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }),
  );
  expect(answered).toBe(asked);
  return admitted;
}

describe("the bound applies, and every request gets a response", () => {
  const faults: readonly (readonly [what: string, fault: RelayFault])[] = [
    ["a black hole", { kind: "black-hole" }],
    ["refused connections", { kind: "refuse" }],
    ["5 s of delay", { kind: "delay", ms: 5000 }],
    ["a cut in the middle of a command", { kind: "cut", afterBytes: 40 }],
    ["a reply without its end", { kind: "truncate", afterBytes: 5 }],
  ];

  test.each(faults)(
    "the bound applies with all instances disconnected by %s, each serving its share",
    async (_what, fault) => {
      const redis = await startRedis();
      endings.push(redis.stop);
      const fleet = await startFleet(redis);
      const before = await flood(fleet, 0.5);
      for (const { relay } of fleet) relay.set(fault);
      const sinceMs = performance.now();
      const away = fault.kind === "black-hole" || fault.kind === "refuse";
      // An instance that does not serve its share never admits this many; one that does will, on any machine.
      const during = await flood(fleet, 3, away ? limit.refillPerSecond : undefined);
      const outageSeconds = (performance.now() - sinceMs) / 1000;
      for (const { relay } of fleet) {
        relay.set({ kind: "pass" });
        relay.reset();
      }
      const after = await flood(fleet, 1.5, limit.refillPerSecond);
      expectBound([...before, ...during, ...after], { ...limit, outageSeconds });
      if (away)
        expect(during.length).toBeLessThanOrEqual(limit.refillPerSecond * outageSeconds + limit.capacity);
      expect(after.length).toBeGreaterThan(limit.refillPerSecond);
    },
  );

  test("without Redis, no number of descriptors denies a new key its share", async () => {
    const redis = await startRedis();
    endings.push(redis.stop);
    const [instance] = await startFleet(redis);
    if (instance === undefined) throw new Error("no instance");
    instance.relay.set({ kind: "refuse" });
    const reasons = async (pool: typeof instance.pool, ids: readonly string[]) => {
      const found: string[] = [];
      for (const bucketId of ids) {
        const outcome = await pool.take([{ bucketId, limit }], 1, 0);
        found.push(outcome.ok ? "ok" : outcome.reason);
      }
      return found;
    };
    const values = Array.from({ length: 110 }, (_, value) => `rls/${value}`);
    const descriptors = await reasons(instance.descriptorPool, values);
    expect(descriptors.slice(3)).toEqual(Array.from({ length: 107 }, () => "limits_unavailable"));
    expect(await reasons(instance.pool, ["new key"])).not.toContain("limits_unavailable");
  });

  test("the bound applies with one of four instances disconnected", async () => {
    const redis = await startRedis();
    endings.push(redis.stop);
    const fleet = await startFleet(redis);
    fleet[0]?.relay.set({ kind: "black-hole" });
    const sinceMs = performance.now();
    const during = await flood(fleet, 3);
    const outageSeconds = (performance.now() - sinceMs) / 1000;
    fleet[0]?.relay.set({ kind: "pass" });
    fleet[0]?.relay.reset();
    const after = await flood(fleet, 1);
    expectBound([...during, ...after], { ...limit, outageSeconds });
  });

  test("a Redis that restarts without its memory adds at most one capacity, and a young store gives no shares", async () => {
    const redis = await startRedis();
    const fleet = await startFleet(redis);
    const before = await flood(fleet, 0.5);
    const sinceMs = performance.now();
    await redis.stop("SIGKILL");
    const during = await flood(fleet, 1.5);
    const again = await startRedis({ port: redis.port });
    const outageSeconds = (performance.now() - sinceMs) / 1000;
    endings.push(again.stop);
    const after = await flood(fleet, 1.5);
    expectBound([...before, ...during, ...after], { ...limit, outageSeconds, lost: limit.capacity });
    for (const { membership } of fleet) await membership.heartbeat();
    expect(fleet.map(({ membership }) => membership.current()?.counted)).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });
});
