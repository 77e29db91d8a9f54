import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createBreaker } from "../../src/core/limits/breaker.ts";
import { createPoster } from "../../src/core/postings/poster.ts";
import { createCalendars } from "../../src/core/quotas/calendar.ts";
import { quotaDemands } from "../../src/core/quotas/quota-demand.ts";
import { createQuotaExchange } from "../../src/core/quotas/quota-exchange.ts";
import type { UsageAmount } from "../../src/core/usage/usage-amount.ts";
import { mergeUsage } from "../../src/core/usage/usage-amount.ts";
import { dayOfHour, hourAt } from "../../src/core/usage/usage-time.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { hashSlot } from "../../src/redis/hash-slot.ts";
import { createQuotaStore } from "../../src/redis/quota-store.ts";
import { createServerBreakers } from "../../src/redis/server-breakers.ts";
import { createUsageStore } from "../../src/redis/usage-store.ts";
import type { ClusterSetup } from "../support/cluster.ts";
import { REGISTRY_SLOT, startCluster } from "../support/cluster.ts";
import type { TestedSpread } from "../support/topology.ts";
import { openTestedSpread } from "../support/topology.ts";

const WITHIN = { timeout: 60_000, interval: 200 };
/** Commands of a busy machine. */
const COMMAND_TIMEOUT_MS = 5000;
const KEEP_MS = 600_000;
const DAY_SECONDS = 86_400;
const RETENTION = { hoursSeconds: DAY_SECONDS, daysSeconds: DAY_SECONDS };

let cluster: ClusterSetup;
let registry: RedisClient;
let spread: TestedSpread;

beforeEach(async () => {
  cluster = await startCluster();
  const options = { url: cluster.url, commandTimeoutMs: COMMAND_TIMEOUT_MS };
  registry = await connectRedis(options);
  spread = await openTestedSpread(options);
  registry.finishStartup();
  spread.finishStartup();
});

afterEach(async () => {
  await Promise.all([registry?.close(), spread?.close()]);
  await cluster?.stop();
});

/** A subject whose keys are on another node than the registry. */
async function subjectElsewhere(keyOf: (subject: string) => string): Promise<string> {
  const { port } = await cluster.primaryOf(REGISTRY_SLOT);
  for (let at = 0; ; at++) {
    const subject = `fam_${at}`;
    if ((await cluster.primaryOf(hashSlot(keyOf(subject)))).port !== port) return subject;
  }
}

/** Fails over from the node of a key to its replica, which lacks all writes of `unreplicated`. */
async function failOverWithout(unreplicated: () => Promise<void>, key: string): Promise<void> {
  const slot = hashSlot(key);
  const primary = await cluster.primaryOf(slot);
  const [replicaPort = 0] = await cluster.replicasOf(primary.port);
  const replica = cluster.nodes.get(replicaPort) ?? expect.unreachable("no replica");
  await vi.waitFor(async () => expect(await primary.cli("WAIT", "1", "1000")).toBe("1"), WITHIN);
  process.kill(replica.pid, "SIGSTOP");
  // With its connection, the kernel would keep the writes for it.
  await primary.cli("CLIENT", "KILL", "TYPE", "replica");
  await unreplicated();
  await primary.stop("SIGKILL");
  process.kill(replica.pid, "SIGCONT");
  await cluster.failedOver(slot, primary.port);
}

const HOUR = hourAt(Date.now());
const amountOf = (allowed: number): UsageAmount => ({
  owner: "acme",
  requests: { allowed, denied: 0, limited: 0 },
  cost: allowed,
  units: new Map(),
  routes: new Map(),
});

/** An instance that posts usage. */
function newMeter(instanceId: string) {
  const options = { registry, spread, instanceId, retention: RETENTION, nowMs: Date.now };
  const store = createUsageStore(options);
  const poster = createPoster({
    store,
    merge: mergeUsage,
    monotonicMs: () => performance.now(),
    scopeOf: dayOfHour,
    keepMs: KEEP_MS,
  });
  const counted = async (family: string) => {
    const days = await store.days(family, { from: dayOfHour(HOUR), to: dayOfHour(HOUR) + 1 });
    return days.reduce((sum, { requests }) => sum + requests.allowed, 0);
  };
  return { poster, counted };
}

test("usage that a promoted replica lacks is posted again, also of a family that sends no more requests", async () => {
  const { poster, counted } = newMeter("i");
  const keyOf = (family: string) => spread.keys.usagePosted(family, 0);
  const family = await subjectElsewhere(keyOf);
  const add = async (allowed: number) => {
    poster.add(family, HOUR, amountOf(allowed));
    await poster.post();
  };
  await add(3);
  await failOverWithout(async () => {
    await add(4);
    expect(await counted(family)).toBe(7);
  }, keyOf(family));
  await vi.waitFor(async () => {
    await poster.post();
    expect(await counted(family)).toBe(7);
  }, WITHIN);
  // Neither a further posting nor a further failover, which loses nothing, counts anything twice.
  await add(5);
  await poster.post();
  expect(await counted(family)).toBe(12);
});

test("usage on a node that comes back empty is posted again", async () => {
  const { poster, counted } = newMeter("i");
  const keyOf = (family: string) => spread.keys.usagePosted(family, 0);
  const family = await subjectElsewhere(keyOf);
  poster.add(family, HOUR, amountOf(3));
  await poster.post();
  const node = await cluster.primaryOf(hashSlot(keyOf(family)));
  for (const port of await cluster.replicasOf(node.port)) await cluster.nodes.get(port)?.stop("SIGKILL");
  await node.stop("SIGKILL");
  await cluster.restart(node.port);
  await vi.waitFor(async () => {
    await poster.post();
    expect(await counted(family)).toBe(3);
  }, WITHIN);
});

test("units of a quota that were admitted without its node, and that a promoted replica lacks, are posted again", async () => {
  const monotonicMs = () => performance.now();
  const newBreaker = () => createBreaker({ threshold: 3, probeEveryMs: 50 });
  const exchange = createQuotaExchange({
    store: createQuotaStore(spread, createServerBreakers(spread, { newBreaker, monotonicMs })),
    storeNowMs: Date.now,
    monotonicMs,
    instanceId: "i",
    fault: () => "count",
    delayMs: delay,
    keepMs: KEEP_MS,
  });
  const quota = {
    name: "q",
    per: "key",
    limit: 1000,
    every: "month",
    timeZone: "UTC",
    unit: "requests",
  } as const;
  const demandOf = (family: string) => {
    const [demand] = quotaDemands([quota], { family, role: "basic" }, createCalendars());
    return demand ?? expect.unreachable();
  };
  const keyOf = (family: string) => spread.keys.quota(demandOf(family).counterId);
  const demand = demandOf(await subjectElsewhere(keyOf));
  const key = spread.keys.quota(demand.counterId);
  const used = async () => Number(await spread.commandAt(key, "HGET", key, "used"));
  exchange.count(demand, 3);
  await exchange.post();
  await failOverWithout(async () => {
    exchange.count(demand, 4);
    await exchange.post();
    expect(await used()).toBe(7);
  }, key);
  await vi.waitFor(async () => {
    await exchange.post();
    expect(await used()).toBe(7);
  }, WITHIN);
});

test("a node that is the primary again, after another one was, has another history", async () => {
  const key = spread.keys.usagePosted(
    await subjectElsewhere((family) => spread.keys.usagePosted(family, 0)),
    0,
  );
  const slot = hashSlot(key);
  const { port } = await cluster.primaryOf(slot);
  const before = spread.historyOf(key);
  // Redis may abandon a failover that it has accepted, so an accepted one is asked for again.
  const leave = (from: number) =>
    vi.waitFor(async () => {
      await cluster.failOver(from);
      return cluster.failedOver(slot, from, 10_000);
    }, WITHIN);
  const other = await leave(port);
  await cluster.whole();
  await leave(other.port);
  // A scan reads the map of the Cluster, which nothing has read since the start.
  await vi.waitFor(async () => {
    for await (const _ of spread.scan("none"));
    expect(spread.serverOf(key)).toBe(`127.0.0.1:${port}`);
    expect(spread.historyOf(key)).not.toBe(before);
  }, WITHIN);
});
