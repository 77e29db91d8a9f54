import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { RedisAddress } from "../../src/config/redis-url.ts";
import { readRedisUrl } from "../../src/config/redis-url.ts";
import { createBreaker } from "../../src/core/limits/breaker.ts";
import type { LeaseReply } from "../../src/core/limits/leased-bucket.ts";
import { connectRedis } from "../../src/redis/client.ts";
import type { ClusterMap } from "../../src/redis/cluster-map.ts";
import { findClusterMap } from "../../src/redis/cluster-map.ts";
import { followAddress } from "../../src/redis/follow-address.ts";
import { hashSlot } from "../../src/redis/hash-slot.ts";
import { createLeaseStore } from "../../src/redis/lease-store.ts";
import { createOneServer } from "../../src/redis/one-server.ts";
import { createServerBreakers } from "../../src/redis/server-breakers.ts";
import { connectSpread } from "../../src/redis/spread-on-cluster.ts";
import { clusterOptions } from "../../src/redis/topology.ts";
import { redisWarnings } from "../../src/redis/warnings.ts";
import type { ClusterSetup } from "../support/cluster.ts";
import { clusterUrl, REGISTRY_SLOT, startCluster, startClusterNode } from "../support/cluster.ts";
import { endings, newRecord, put, readUntilWell, revoked, startInstanceAt } from "../support/feed.ts";
import type { TestedRedis } from "../support/redis.ts";
import { freePort, startRedis } from "../support/redis.ts";
import { clusterUser } from "../support/redis-user.ts";

let setup: ClusterSetup;
beforeAll(async () => {
  setup = await startCluster();
});
afterAll(() => setup?.stop());
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

function addressOf(url: string): RedisAddress {
  const read = readRedisUrl(url);
  if (!read.ok) throw new Error(read.problem);
  return read.place;
}

/** The connections of an instance. */
async function connect(address: RedisAddress, commandTimeoutMs = 1000) {
  const maps: ClusterMap[] = [];
  const registry = await connectRedis({ ...address, commandTimeoutMs });
  endings.push(registry.close);
  const { seeds = [] } = address;
  const onMap = (map: ClusterMap) => void maps.push(map);
  const spread = await connectSpread({ ...address, seeds, instanceId: "test", commandTimeoutMs, onMap });
  endings.push(spread.close);
  for (const one of [registry, spread]) one.finishStartup();
  return { registry, spread, maps };
}

/** `connected`, or the setting that the fault names, or else the fault's message. */
async function outcome(address: RedisAddress): Promise<string> {
  try {
    await connect(address);
    return "connected";
  } catch (error) {
    const { rejectedSetting, message } = Object(error);
    return rejectedSetting === undefined ? `may heal: ${message}` : `permanent: ${rejectedSetting}`;
  }
}

/** Subjects whose buckets lie on each of the primaries: one for each. */
async function subjectsByNode(): Promise<readonly (readonly [TestedRedis, string])[]> {
  const found = new Map<TestedRedis, string>();
  for (let at = 0; found.size < 3; at++) {
    const node = await setup.primaryOf(hashSlot(`{s${at}}`));
    if (!found.has(node)) found.set(node, `s${at}`);
  }
  return [...found];
}

test("a name has the slot that Redis computes", async () => {
  const [node] = setup.nodes.values();
  for (const name of [
    "",
    "a",
    "{a}b",
    "{}a",
    "a{",
    "a{}b{c}",
    "a{b{c}d}",
    "é{ü}",
    "latchkey:{latchkey}:feed",
  ])
    expect([name, hashSlot(name)]).toEqual([name, Number(await node?.cli("CLUSTER", "KEYSLOT", name))]);
});

describe("the Cluster is found", () => {
  test("through any node, a replica included, and not through nodes that have ended", async () => {
    const registry = await setup.primaryOf(REGISTRY_SLOT);
    const unused = await freePort();
    for (const port of setup.nodes.keys()) {
      const { registry: client } = await connect(addressOf(clusterUrl([unused, port])));
      const info = String(await client.command("INFO", "server"));
      expect(/^tcp_port:(\d+)/m.exec(info)?.[1]).toBe(String(registry.port));
    }
  });

  test("behind a NAT, whose addresses replace those that nodes name", async () => {
    const address = addressOf(setup.url);
    const natMap = new Map(
      [...setup.nodes.keys()].map((port) => [`127.0.0.1:${port}`, { host: "localhost", port }]),
    );
    const { maps } = await connect({ ...address, natMap });
    expect(new Set(maps[0]?.primaries.map(({ host }) => host))).toEqual(new Set(["localhost"]));
  });

  test("without a warning about replicas that a Cluster does not need", async () => {
    const { registry } = await connect(addressOf(setup.url));
    const warnings = await redisWarnings(registry, addressOf(setup.url));
    expect(warnings.filter(({ action }) => action.includes("min-replicas"))).toEqual([]);
  });
});

test("a node of another Cluster at the address of a former node is not believed", async () => {
  const { seeds = [], ...address } = addressOf(setup.url);
  const options = clusterOptions(address, seeds, 1000);
  const known = await findClusterMap(options);
  const other = await startClusterNode();
  endings.push(other.stop);
  // Its epoch is the newer one.
  for (let at = 0; at < 30; at++) await other.cli("CLUSTER", "BUMPEPOCH");
  const mixed = { ...options, seeds: [{ host: "127.0.0.1", port: other.port }, ...seeds.slice(0, 1)] };
  const newest = await findClusterMap(mixed, { ...known, primaries: [] });
  expect(newest.nodeIds).toEqual(known.nodeIds);
});

describe("a start fails with one sentence that says what to check", () => {
  test("if a seed is no node of a Cluster, or if a single Redis was configured", async () => {
    const alone = await startRedis();
    endings.push(alone.stop);
    const [port = 0] = setup.nodes.keys();
    for (const ports of [[alone.port], [port, alone.port]])
      expect(await outcome(addressOf(clusterUrl(ports)))).toBe(
        `permanent: REDIS_URL or REDIS_HOST: 127.0.0.1:${alone.port} does not belong to a Cluster (cluster-enabled); name nodes of one Cluster only`,
      );
    const { seeds: _, ...single } = addressOf(setup.url);
    expect(await outcome({ ...single, port })).toMatch(
      /^permanent: .*this Redis belongs to a Cluster: write/,
    );
  });

  test("if the seeds belong to different Clusters", async () => {
    const other = await startClusterNode();
    endings.push(other.stop);
    const [port = 0] = setup.nodes.keys();
    expect(await outcome(addressOf(clusterUrl([port, other.port])))).toBe(
      `permanent: REDIS_URL or REDIS_HOST: 127.0.0.1:${port} and 127.0.0.1:${other.port} belong to different Clusters; name nodes of one Cluster only`,
    );
  });

  test("if no node responds, or the credentials are wrong", async () => {
    const port = await freePort();
    expect(await outcome(addressOf(clusterUrl([port])))).toMatch(
      new RegExp(
        `^may heal: .*no node of the Cluster responds: Cluster node 127.0.0.1:${port}: .*ECONNREFUSED`,
      ),
    );
    expect(await outcome({ ...addressOf(setup.url), password: "wrong" })).toMatch(
      /^permanent: REDIS_PASSWORD, REDIS_USERNAME or REDIS_URL/,
    );
  });

  test("if slots are not covered", async () => {
    const node = await startClusterNode({ args: ["--cluster-require-full-coverage", "no"] });
    endings.push(node.stop);
    expect(await outcome(addressOf(node.url))).toBe("connected");
    const bucket = hashSlot("{other}");
    await node.cli("CLUSTER", "DELSLOTS", String(bucket));
    expect(await outcome(addressOf(node.url))).toMatch(/^may heal: 1 slots of the Cluster have no primary/);
    await node.cli("CLUSTER", "DELSLOTS", String(REGISTRY_SLOT));
    expect(await outcome(addressOf(node.url))).toMatch(
      new RegExp(
        `^may heal: .*no node of the Cluster serves slot ${REGISTRY_SLOT}, which holds the registry`,
      ),
    );
  });

  test("if the user lacks a right on one node alone", async () => {
    const [, [node] = []] = await subjectsByNode();
    const [username = "", ...rules] = clusterUser(addressOf(setup.url).password ?? "");
    for (const lost of ["+hset", "+evalsha", "+cluster|slots", "+cluster|info"]) {
      const isMap = lost.startsWith("+cluster");
      // The map is asked of all seeds; the other commands go to every primary.
      const address = isMap ? addressOf(clusterUrl([node?.port ?? 0])) : addressOf(setup.url);
      await node?.cli("ACL", "SETUSER", username, "reset", ...rules.filter((rule) => rule !== lost));
      if (lost !== "+evalsha")
        expect([lost, await outcome(address)]).toEqual([
          lost,
          expect.stringMatching(/^permanent: .*cluster\.acl/),
        ]);
      await node?.cli("ACL", "SETUSER", username, "reset", ...rules);
    }
    expect(await outcome(addressOf(setup.url))).toBe("connected");
  });
});

describe("a command on a bucket", () => {
  const limit = { name: "n", per: "key", leased: true, capacity: 10, refillPerSecond: 0.001 } as const;
  const ask = (leaseId: string) => ({ leaseId, cost: 1, waiting: 0, ahead: 0, held: 0 });

  async function startLeases(commandTimeoutMs?: number) {
    const { spread, maps } = await connect(addressOf(setup.url), commandTimeoutMs);
    const newBreaker = () => createBreaker({ threshold: 3, probeEveryMs: 10_000 });
    const servers = createServerBreakers(spread, { newBreaker, monotonicMs: () => performance.now() });
    const store = createLeaseStore(spread, servers);
    const outageOf = (bucketId: string) => servers.outageOf(spread.keys.bucket(bucketId));
    let leases = 0;
    const take = (bucketId: string): Promise<LeaseReply> =>
      store.step(bucketId, limit, [], ask(`l${++leases}`));
    return { spread, take, maps, outageOf, probe: servers.probe };
  }

  test("follows its slot while it moves, before and after its bucket has moved", async () => {
    const { spread, take } = await startLeases();
    const [[from, subject] = never(), [to] = never()] = await subjectsByNode();
    const bucketOf = (name: string) => `r:${name}:${subject}`;
    const slot = hashSlot(spread.keys.bucket(bucketOf("a")));
    await take(bucketOf("a"));
    const [fromId, toId] = await Promise.all([from.cli("CLUSTER", "MYID"), to.cli("CLUSTER", "MYID")]);
    await to.cli("CLUSTER", "SETSLOT", String(slot), "IMPORTING", fromId);
    await from.cli("CLUSTER", "SETSLOT", String(slot), "MIGRATING", toId);
    // One bucket is on each node, so a script of both is rejected. It is then run for each.
    const both = await Promise.all([take(bucketOf("a")), take(bucketOf("b"))]);
    expect(both.map(({ grantedTokens }) => grantedTokens)).toEqual([1, 1]);
    expect(await from.cli("CLUSTER", "GETKEYSINSLOT", String(slot), "9")).toBe(
      spread.keys.bucket(bucketOf("a")),
    );
    await setup.moveSlot(slot, to);
    for (const name of ["a", "b"]) expect((await take(bucketOf(name))).grantedTokens).toBe(1);
    expect(spread.serverOf(spread.keys.bucket(bucketOf("a")))).toBe(`127.0.0.1:${to.port}`);
    await setup.moveSlot(slot, from);
    expect((await take(bucketOf("a"))).grantedTokens).toBe(1);
    const key = spread.keys.bucket(bucketOf("a"));
    // Nothing was lost on the way: four tokens of ten were taken.
    const level = Number(await spread.commandAt(key, "HGET", key, "level"));
    expect(Math.floor(level / 1_000_000)).toBe(6);
  });

  test("is not sent again after a timeout: it runs once", async () => {
    const { spread } = await startLeases(500);
    const [[node, subject] = never()] = await subjectsByNode();
    const key = spread.keys.bucket(`r:count:${subject}`);
    await node.cli("DEL", key);
    process.kill(node.pid, "SIGSTOP");
    await expect(spread.commandAt(key, "INCR", key)).rejects.toMatchObject({ kind: "timeout" });
    process.kill(node.pid, "SIGCONT");
    await setup.whole();
    expect(await (await setup.primaryOf(hashSlot(key))).cli("GET", key)).toMatch(/^1?$/);
  });

  test("on one node that hangs fails alone, and is soon answered without waiting", async () => {
    const { outageOf, probe, take } = await startLeases(500);
    const subjects = await subjectsByNode();
    const [[hung, lost] = never(), ...others] = subjects;
    for (const [, subject] of subjects) await take(`r:n:${subject}`);
    process.kill(hung.pid, "SIGSTOP");
    const failures = await Promise.allSettled([1, 2, 3].map(() => take(`r:n:${lost}`)));
    expect(failures.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    await expect(take(`r:n:${lost}`)).rejects.toThrow("Redis does not respond");
    expect(outageOf(`r:n:${lost}`)).toBeDefined();
    for (const [, subject] of others) {
      expect(outageOf(`r:n:${subject}`)).toBeUndefined();
      expect((await take(`r:n:${subject}`)).grantedTokens).toBe(1);
    }
    process.kill(hung.pid, "SIGCONT");
    await setup.whole();
    // The outage ends by a probe, without a request.
    await expect.poll(() => probe().then(() => outageOf(`r:n:${lost}`))).toBeUndefined();
    expect((await take(`r:n:${lost}`)).grantedTokens).toBe(1);
  });
});

test("a primary that is cut off from the majority is not believed, even if it answers reads", async () => {
  const registry = await setup.primaryOf(REGISTRY_SLOT);
  const one = await startInstanceAt({ url: setup.url, server: createOneServer() });
  await registry.cli("CONFIG", "SET", "cluster-allow-reads-when-down", "yes");
  const others = [...setup.nodes.values()].filter(({ port }) => port !== registry.port);
  for (const { pid } of others) process.kill(pid, "SIGSTOP");
  try {
    await expect.poll(() => registry.cli("CLUSTER", "INFO")).toContain("cluster_state:fail");
    expect(await registry.cli("GET", one.client.keys.epoch)).not.toContain("CLUSTERDOWN");
    await expect(one.reading.serverState()).rejects.toMatchObject({ code: "CLUSTERDOWN" });
    await expect(one.feed.read()).rejects.toMatchObject({ name: "RedisUnavailable" });
  } finally {
    for (const { pid } of others) process.kill(pid, "SIGCONT");
    await registry.cli("CONFIG", "SET", "cluster-allow-reads-when-down", "no");
    await setup.whole();
  }
  await readUntilWell(one);
});

test("if the slot of the registry moves, its connections follow by themselves, and nothing is lost", async () => {
  const from = await setup.primaryOf(REGISTRY_SLOT);
  const to = (await setup.primaries()).find(({ port }) => port !== from.port) ?? never();
  const addresses: string[] = [];
  const server = createOneServer((now) => void addresses.push(now.address));
  const one = await startInstanceAt({ url: setup.url, server });
  const ended = await revoked(one);
  await setup.moveSlot(REGISTRY_SLOT, to);
  await readUntilWell(one);
  expect(addresses).toEqual([from, to].map(({ port }) => `127.0.0.1:${port}`));
  await expect.poll(() => put(one, newRecord()).then(() => "written", String)).toBe("written");
  expect(Number(await to.cli("HEXISTS", one.client.keys.standings, ended.keyId))).toBe(1);
});

test("after a failover the registry's connections lead to the new primary, and revocations are written back", async () => {
  const moved: string[] = [];
  const server = createOneServer((now) => void moved.push(`${now.address} (${now.topology})`));
  const before = await setup.primaryOf(REGISTRY_SLOT);
  const one = await startInstanceAt({ url: setup.url, server });
  const ended = await revoked(one);
  await one.feed.read();
  await setup.failOver(before.port);
  const after = await setup.failedOver(REGISTRY_SLOT, before.port);
  // What the new primary lacks is written back.
  const { keys } = one.client;
  await after.cli("DEL", keys.standings, keys.ended, keys.key(ended.keyId));
  await followAddress({ ...one.place, commandTimeoutMs: 2000 }, one.client).catch(() => undefined);
  await readUntilWell(one);
  await readUntilWell(one);
  expect(moved).toEqual([before, after].map(({ port }) => `127.0.0.1:${port} (cluster)`));
  expect(one.lost).toEqual([1]);
  expect(Number(await after.cli("HEXISTS", keys.standings, ended.keyId))).toBe(1);
  await expect.poll(() => put(one, newRecord()).then(() => "written", String)).toBe("written");
});

function never(): never {
  throw new Error("there is none");
}
