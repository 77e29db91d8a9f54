import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { hashSlot } from "../../src/redis/hash-slot.ts";
import { admits } from "../support/admitted.ts";
import type { Checked } from "../support/checks.ts";
import { check, underLoad } from "../support/checks.ts";
import type { ClusterSetup } from "../support/cluster.ts";
import { REGISTRY_SLOT, startCluster } from "../support/cluster.ts";
import { startExample } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { expectBound } from "../support/limit-bound.ts";
import { readMetrics } from "../support/metrics.ts";
import type { TestedRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const LIMIT = { capacity: 10, refillPerSecond: 5 };
const WITHIN = { timeout: 60_000, interval: 50 };
const KEYS = 24;
/** Slots that move during one test. */
const MOVED = 10;
const env = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
const policy = `
roles:
  basic:
    scopes: [a]
    ttl: 1d
    refresh_window: 1h
    rate_limits: [{ name: n, per: key, capacity: 10000, refill: 1/s }, { name: m, per: key, capacity: 50000, refill: 1/s }]
  contributor:
    scopes: [a]
    ttl: 1d
    refresh_window: 1h
    rate_limits: [{ name: n, per: key, capacity: ${LIMIT.capacity}, refill: ${LIMIT.refillPerSecond}/s }]
routes: [{ path: /a/**, scopes: [a] }]
guards: { failures: 100000/s, open_calls: 100000/s }
faults: { limits: deny, revocations: { max_staleness: 30s, then: deny } }
`;

let setup: ClusterSetup;
let upstream: Upstream;
let envoy: EnvoyProcess;
let instances: readonly TestedLatchkey[];
let operators: readonly LatchkeyClient[];
let keys: readonly string[];
let limited: string;
let revoked: string;

beforeAll(async () => {
  [setup, upstream] = await Promise.all([
    startCluster(["--cluster-require-full-coverage", "no"]),
    startUpstream(),
  ]);
  const settings = { ...env, REDIS_URL: setup.url, REDIS_COMMAND_TIMEOUT_MS: "1500" };
  instances = await Promise.all([1, 2].map(() => startLatchkey(settings, { policy })));
  operators = instances.map(({ operator }) =>
    createClient({ url: `http://${operator}`, token: env.ADMIN_TOKEN }),
  );
  envoy = await startExample("sidecar", {
    clusters: { latchkey: instances.map(({ grpc }) => grpc), upstream: [`127.0.0.1:${upstream.port}`] },
  });
  keys = await Promise.all(Array.from({ length: KEYS }, () => register().then(({ api_key }) => api_key)));
  limited = (await register("contributor")).api_key;
  const ended = await register();
  await operators[0]?.keys.revoke(ended.key_id);
  revoked = ended.api_key;
  await deniedEverywhere(revoked);
});

afterAll(async () => {
  await Promise.all([envoy, ...(instances ?? [])].map((one) => one?.stop()));
  await Promise.all([setup?.stop(), upstream?.stop()]);
});

async function register(key_type = "basic") {
  const [operator] = operators;
  if (operator === undefined) throw new Error("no instance");
  return operator.register({ name: "n", key_type });
}

async function deniedEverywhere(key: string): Promise<void> {
  for (const instance of instances)
    await vi.waitFor(async () => expect(await admits(instance, key)).toBe("key-revoked"), WITHIN);
}

/** The different results of each kind of key while `during` happens, as `status reason`. */
async function load(during: () => Promise<unknown>) {
  const admitted: number[] = [];
  let at = 0;
  const known = () => check(envoy, "/a/x", keys[at++ % keys.length]);
  const limits = async (): Promise<Checked> => {
    const checked = await check(envoy, "/a/x", limited);
    if (checked.status === 200) admitted.push(performance.now());
    return checked;
  };
  const kinds = {
    known,
    others: known,
    limited: limits,
    more: limits,
    revoked: () => check(envoy, "/a/x", revoked),
  };
  const answers = await underLoad(kinds, during);
  const textsOf = (kind: keyof typeof kinds) =>
    [...new Set(answers.get(kind)?.map(({ status, reason }) => `${status} ${reason}`.trim()))].sort();
  return { known: textsOf("known"), limited: textsOf("limited"), revoked: textsOf("revoked"), admitted };
}

const RATED = ["200", "429 rate_limited"];

/** The slots with buckets, and the node of each. */
async function bucketSlots(): Promise<ReadonlyMap<number, TestedRedis>> {
  const found = new Map<number, TestedRedis>();
  for (const node of await setup.primaries()) {
    const names = (await node.cli("--scan", "--pattern", "latchkey:bucket:*")).split("\n").filter(Boolean);
    for (const name of names) found.set(hashSlot(name), node);
  }
  return found;
}

test("buckets move to other nodes under load: no valid key is denied, and no limit is exceeded", async () => {
  const { known, limited, revoked, admitted } = await load(async () => {
    const slots = await vi.waitFor(async () => {
      const found = await bucketSlots();
      expect(found.size).toBeGreaterThan(KEYS / 2);
      expect(new Set([...found.values()].map(({ port }) => port)).size).toBe(3);
      return found;
    }, WITHIN);
    const nodes = await setup.primaries();
    const some = [...slots].slice(0, MOVED);
    for (const [slot, from] of some) {
      const to = nodes[(nodes.findIndex(({ port }) => port === from.port) + 1) % nodes.length];
      if (to !== undefined) await setup.moveSlot(slot, to);
    }
    const moved = await bucketSlots();
    for (const [slot, from] of some) expect(moved.get(slot)?.port).not.toBe(from.port);
  });
  expect({ known, limited, revoked }).toEqual({
    known: ["200"],
    limited: RATED,
    revoked: ["401 key_revoked"],
  });
  expectBound(admitted, { ...LIMIT, outageSeconds: 0 });
});

test("the registry's slot moves under load: Checks go on, and the key API follows it", async () => {
  const before = await setup.primaryOf(REGISTRY_SLOT);
  const to = (await setup.primaries()).find(({ port }) => port !== before.port);
  if (to === undefined) throw new Error("no other primary");
  const { known, limited, revoked, admitted } = await load(async () => {
    await setup.moveSlot(REGISTRY_SLOT, to);
    const info = `latchkey_redis_primary_info{topology="cluster",address="127.0.0.1:${to.port}"}`;
    for (const { ops } of instances)
      await vi.waitFor(async () => expect((await readMetrics(ops)).get(info)).toBe(1), WITHIN);
    const made = await vi.waitFor(() => register(), WITHIN);
    await vi.waitFor(() => operators[1]?.keys.revoke(made.key_id), WITHIN);
    await deniedEverywhere(made.api_key);
  });
  expect({ known, revoked }).toEqual({ known: ["200"], revoked: ["401 key_revoked"] });
  // The move may end before the bucket, which is empty by now, has a token.
  expect(RATED).toEqual(expect.arrayContaining(limited));
  expectBound(admitted, { ...LIMIT, outageSeconds: 0 });
});

test("a node and its replica are lost: only keys with buckets there are denied, until it is back", async () => {
  const registry = await setup.primaryOf(REGISTRY_SLOT);
  const lost = (await setup.primaries()).find(({ port }) => port !== registry.port);
  if (lost === undefined) throw new Error("no other primary");
  const [replica = 0] = await setup.replicasOf(lost.port);
  const uncovered = () =>
    Promise.all(
      instances.map(async ({ ops }) => (await readMetrics(ops)).get("latchkey_redis_uncovered_slots") ?? 0),
    );
  /** The keys that are denied, each asked on every instance. */
  const denied = async () => {
    const asked = keys.flatMap((key) => instances.map(() => key));
    const answers: (Checked & { readonly key: string })[] = [];
    for (const key of asked) answers.push({ ...(await check(envoy, "/a/x", key)), key });
    const failed = answers.filter(({ status }) => status !== 200);
    for (const { status, reason } of failed) expect(`${status} ${reason}`).toBe("503 limits_unavailable");
    return new Set(failed.map(({ key }) => key));
  };
  const { known, revoked } = await load(async () => {
    await Promise.all([setup.nodes.get(replica)?.stop("SIGKILL"), lost.stop("SIGKILL")]);
    await vi.waitFor(async () => expect(Math.min(...(await uncovered()))).toBeGreaterThan(0), WITHIN);
    // An instance may still have tokens of a lost bucket.
    const ofLost = await vi.waitFor(async () => {
      const found = await denied();
      expect(found.size).toBeGreaterThan(0);
      return found;
    }, WITHIN);
    expect(ofLost.size).toBeLessThan(KEYS);
    // The registry is elsewhere.
    const made = await register();
    await operators[0]?.keys.revoke(made.key_id);
    await deniedEverywhere(made.api_key);
    await setup.restart(lost.port);
    await setup.restart(replica);
    await setup.whole();
    await vi.waitFor(async () => expect(await uncovered()).toEqual([0, 0]), WITHIN);
    await vi.waitFor(async () => expect((await denied()).size).toBe(0), WITHIN);
  });
  expect(["200", "503 limits_unavailable"]).toEqual(expect.arrayContaining(known));
  expect(revoked).toEqual(["401 key_revoked"]);
  for (const { output } of instances) {
    await expect.poll(output).toContain("slots of the Redis Cluster have no primary that works");
    await expect.poll(output).toContain("all slots of the Redis Cluster have a primary again");
  }
});
