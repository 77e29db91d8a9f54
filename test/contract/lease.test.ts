import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createBreaker } from "../../src/core/limits/breaker.ts";
import type { LeaseStore } from "../../src/core/limits/lease-exchange.ts";
import type { LeasePool } from "../../src/core/limits/lease-pool.ts";
import { createLeasePool } from "../../src/core/limits/lease-pool.ts";
import type { LeasedBucket } from "../../src/core/limits/leased-bucket.ts";
import { fullLeasedBucket, LEASE_LIFE_US, leaseStep } from "../../src/core/limits/leased-bucket.ts";
import type { BucketStore, TakeOutcome } from "../../src/core/limits/ports.ts";
import type { RateLimit } from "../../src/core/policy/policy.ts";
import { createLeaseStore, LEASE_SCRIPT, leaseArguments } from "../../src/redis/lease-store.ts";
import { pairs } from "../../src/redis/replies.ts";
import { createServerBreakers } from "../../src/redis/server-breakers.ts";
import type { TestedSpread, TestedTopology } from "../support/topology.ts";
import { openTestedSpread, startRegistry, startTopology } from "../support/topology.ts";

let setup: TestedTopology;
const clients: TestedSpread[] = [];
/** Does what Latchkey's own user may not. */
let admin: TestedSpread;

beforeAll(async () => {
  setup = await startTopology();
  admin = await openTestedSpread({ url: setup.adminUrl, commandTimeoutMs: 1000 });
  for (let made = 0; made < 4; made++)
    clients.push(await openTestedSpread({ url: setup.url, commandTimeoutMs: 1000 }));
});

afterAll(async () => {
  await Promise.all([admin, ...clients].map((client) => client?.close()));
  await setup?.stop();
});

function onBucket(bucketId: string, name: string, ...args: readonly string[]): Promise<unknown> {
  const key = admin.keys.bucket(bucketId);
  return admin.commandAt(key, name, key, ...args);
}

function limitOf(capacity: number, refillPerSecond: number, leased = true): RateLimit {
  return { name: "test", per: "key", capacity, refillPerSecond, leased };
}

const never: BucketStore = {
  take: () => {
    throw new Error("the store should have answered");
  },
};

let pools = 0;

/** An instance's buckets on the shared Redis, and how many commands it has sent. */
function newPool(
  client: TestedSpread | undefined,
  withoutStore = never,
): LeasePool & { commands: () => number } {
  if (client === undefined) throw new Error("no client");
  let commands = 0;
  const monotonicMs = () => performance.now();
  const newBreaker = () => createBreaker({ threshold: 3, probeEveryMs: 100 });
  const store = createLeaseStore(client, createServerBreakers(client, { newBreaker, monotonicMs }));
  const counting: LeaseStore = {
    step: (...args) => {
      commands++;
      return store.step(...args);
    },
  };
  const instanceId = `pool${pools++}`;
  const pool = createLeasePool({
    store: counting,
    monotonicMs,
    instanceId,
    maxBuckets: 1000,
    fallback: withoutStore,
  });
  return { ...pool, commands: () => commands };
}

async function fleet(): Promise<ReturnType<typeof newPool>[]> {
  await setup.onAll("FLUSHALL");
  return clients.map((client) => newPool(client));
}

async function admitted(outcomes: readonly (TakeOutcome | Promise<TakeOutcome>)[]): Promise<number> {
  return (await Promise.all(outcomes)).filter(({ ok }) => ok).length;
}

/** Resolves when so much time has passed. A timer alone may fire early: it counts from when its turn of the loop began. */
async function pass(ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  for (let left = ms; left > 0; left = endMs - performance.now())
    await new Promise((resolve) => setTimeout(resolve, left));
}

describe("the script", () => {
  /** The script itself, with a clock that the test sets: only the call for the time is replaced. */
  const withClock = LEASE_SCRIPT.replace(
    "redis.call('TIME')",
    "cjson.decode(string.sub(table.remove(KEYS), 4))",
  );
  const step = fc.record({
    bucket: fc.nat({ max: 2 }),
    advanceUs: fc.oneof(
      fc.integer({ min: 0, max: 2_000_000 }),
      fc.integer({ min: -3_000_000, max: 0 }),
      fc.constant(1),
    ),
    ask: fc.boolean(),
    cost: fc.integer({ min: 1, max: 4 }),
    waiting: fc.integer({ min: 0, max: 9 }),
    ahead: fc.integer({ min: 0, max: 9 }),
    settle: fc.array(
      fc.tuple(
        fc.oneof(fc.nat({ max: 24 }), fc.constant("the requested one")),
        fc.integer({ min: 0, max: 6 }),
        fc.oneof(fc.integer({ min: 0, max: 900_000 }), fc.constant(0)),
      ),
      { maxLength: 3 },
    ),
    /** Whether the ask is carried out for the second time. */
    again: fc.integer({ min: 0, max: 7 }).map((drawn) => drawn === 0),
  });
  const limits = fc.tuple(fc.integer({ min: 4, max: 50 }), fc.constantFrom(1 / 3600, 0.3, 1, 7, 1000));

  test("does what core/leased-bucket does, on whatever history of several buckets", async () => {
    const run = admin.script(withClock);
    // The steps of one script happen at one time, and may be steps of one bucket.
    const scripts = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(limits, scripts, async ([capacity, refill], history) => {
        const limit = limitOf(capacity, refill);
        let nowUs = 1_800_000_000_000_000;
        const buckets = Array.from({ length: 3 }, () => fullLeasedBucket(limit, nowUs));
        const touched = new Set<LeasedBucket>();
        await admin.commandAt("{b}", "DEL", "{b}0", "{b}1", "{b}2");
        let leases = 0;
        for (const steps of history) {
          nowUs += steps[0]?.advanceUs ?? 0;
          const clock = `{b}${JSON.stringify([String(Math.floor(nowUs / 1e6)), String(nowUs % 1e6)])}`;
          const args: (string | number)[] = [LEASE_LIFE_US];
          const wanted: number[] = [];
          for (const { bucket: index, ask, cost, waiting, ahead, settle, again } of steps) {
            const leaseId = `l${again ? leases : ++leases}`;
            const settlements = settle.map(([lease, unspentTokens, spentAgoUs]) => ({
              leaseId: typeof lease === "string" ? leaseId : `l${lease}`,
              unspentTokens,
              spentAgoUs,
            }));
            const asked = ask
              ? { leaseId, cost: Math.min(cost, capacity), waiting, ahead, held: 0 }
              : undefined;
            const bucket = buckets[index];
            if (bucket === undefined) throw new Error("three buckets");
            // A bucket that no step has touched is full now, whenever that is.
            if (!touched.has(bucket)) Object.assign(bucket, fullLeasedBucket(limit, nowUs));
            touched.add(bucket);
            const { grantedTokens, waitUs, leasesOutstanding, isHalfFull } = leaseStep(
              bucket,
              limit,
              settlements,
              asked,
              nowUs,
            );
            wanted.push(grantedTokens, waitUs, leasesOutstanding || isHalfFull ? 1 : 0);
            args.push(...leaseArguments(limit, settlements, asked));
          }
          const keys = steps.map(({ bucket }) => `{b}${bucket}`);
          expect(await run([...keys, clock], args)).toEqual(wanted);
          for (const index of new Set(steps.map(({ bucket }) => bucket))) {
            const { levelMicro, stampUs, leases: open } = buckets[index] ?? fullLeasedBucket(limit, nowUs);
            expect(Object.fromEntries(pairs(await admin.commandAt("{b}", "HGETALL", `{b}${index}`)))).toEqual(
              {
                level: String(levelMicro),
                stamp: String(stampUs),
                ...Object.fromEntries(
                  [...open].map(([id, { tokens, deadlineUs }]) => [`l:${id}`, `${tokens} ${deadlineUs}`]),
                ),
              },
            );
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("steps that come together share scripts of at most 50 buckets, and each gets its own reply", async () => {
    await setup.onAll("FLUSHALL");
    let scripts = 0;
    const client = await openTestedSpread({
      url: setup.url,
      commandTimeoutMs: 1000,
      observe: () => scripts++,
    });
    const breaker = createBreaker({ threshold: 3, probeEveryMs: 3_600_000 });
    const servers = createServerBreakers(client, {
      newBreaker: () => breaker,
      monotonicMs: () => performance.now(),
    });
    const store = createLeaseStore(client, servers);
    await onBucket("r:n7:s", "SET", "damaged");
    scripts = 0;
    const steps = Array.from({ length: 120 }, (_, at) => {
      const request = { leaseId: `l${at}`, cost: at + 1, waiting: 0, ahead: 0, held: 0 };
      return store.step(`r:n${at}:s`, limitOf(100, 1 / 3600), [], request);
    });
    const granted = (await Promise.all(steps)).map(({ grantedTokens }) => grantedTokens);
    expect(granted).toEqual(Array.from({ length: 120 }, (_, at) => (at < 100 ? at + 1 : 0)));
    expect(scripts).toBe(3);
    await client.close();
    await expect(
      Promise.allSettled([1, 2, 3].map((at) => store.step(`r:n${at}:s`, limitOf(1, 1), [], undefined))),
    ).resolves.toEqual(Array.from({ length: 3 }, () => expect.objectContaining({ status: "rejected" })));
    // The failure of a shared script counts for each of its steps.
    expect(breaker.admits(performance.now())).toBe(false);
  });

  test.each([
    ["a text", ["SET", "x"]],
    ["a list", ["LPUSH", "x"]],
    ["a foreign hash", ["HSET", "name", "x"]],
    ["a level that is no number", ["HSET", "level", "nan", "stamp", "1"]],
    ["a level without bound", ["HSET", "level", "inf", "stamp", "1"]],
    ["a negative level", ["HSET", "level", "-5", "stamp", "1"]],
  ] as const)(
    "%s in a bucket's place is begun anew, with one capacity at most",
    async (_what, [name, ...args]) => {
      const [pool] = await fleet();
      if (pool === undefined) throw new Error("no pool");
      await onBucket("b", name, ...args);
      const demand = { bucketId: "b", limit: limitOf(5, 0.001) };
      expect(await admitted(Array.from({ length: 12 }, () => pool.take([demand], 1, 0)))).toBe(5);
    },
  );
});

test("a full Redis takes no part of a step", async () => {
  const [pool] = await fleet();
  if (pool === undefined) throw new Error("no pool");
  const demands = [{ bucketId: "b", limit: limitOf(10, 1 / 3600, false) }];
  expect(await pool.take(demands, 1, 0)).toMatchObject({ ok: true });
  const before = await onBucket("b", "HGETALL");
  await setup.onAll("CONFIG", "SET", "maxmemory", "1");
  try {
    await expect(pool.take(demands, 1, 0)).rejects.toThrow("should have answered");
    expect(await onBucket("b", "HGETALL")).toEqual(before);
  } finally {
    await setup.onAll("CONFIG", "SET", "maxmemory", "0");
  }
  expect(await pool.take(demands, 1, 0)).toMatchObject({ ok: true });
});

test("one step ends any number of leases", async () => {
  const [pool] = await fleet();
  // Lua passes at most some 8,000 arguments.
  const leases = Array.from({ length: 9000 }, (_, at) => [`l:${at}`, "1 1"]).flat();
  await onBucket("b", "HSET", "level", "0", "stamp", "1", ...leases);
  expect(await pool?.take([{ bucketId: "b", limit: limitOf(9000, 1000) }], 1, 0)).toMatchObject({ ok: true });
  const fields = pairs(await onBucket("b", "HGETALL")).map(([name]) => name);
  expect(fields.filter((name) => !name.startsWith("l:")).sort()).toEqual(["level", "stamp"]);
  expect(fields).toHaveLength(3);
});

describe("a damaged lease", () => {
  const demand = { bucketId: "b", limit: limitOf(5, 1000) };
  const damage = (lease: string) => onBucket("b", "HSET", "level", "0", "stamp", "1", "l:x", lease);

  test.each(["", "x", "5", "-5 1", "5 1e300", "99999999999999999999 9000000000000000"])(
    "that reads “%s” is dropped",
    async (lease) => {
      const [pool] = await fleet();
      await damage(lease);
      expect(await admitted([pool?.take([demand], 5, 0)].filter((outcome) => outcome !== undefined))).toBe(1);
      expect(await onBucket("b", "HEXISTS", "l:x")).toBe(0);
    },
  );

  test("without end holds refill back for as long as a lease lives, no longer", async () => {
    const [pool] = await fleet();
    await damage("5 9000000000000000");
    const take = async () => (await pool?.take([demand], 5, 0))?.ok;
    expect(await take()).toBe(false);
    await expect.poll(take, { interval: 50 }).toBe(true);
  });
});

describe("four instances on one Redis", () => {
  test("1,000 checks at once on a bucket of 10 that refills one an hour: exactly 10", async () => {
    const instances = await fleet();
    const demand = { bucketId: "b", limit: limitOf(10, 1 / 3600) };
    const outcomes = Array.from({ length: 1000 }, (_, at) => instances[at % 4]?.take([demand], 1, 0)).filter(
      (outcome) => outcome !== undefined,
    );
    expect(await admitted(outcomes)).toBe(10);
  });

  test("while instances have different capacities, no more than the largest is admitted, whoever asks when", async () => {
    const asked = fc.array(
      fc.record({ large: fc.boolean(), at: fc.nat(3), cost: fc.integer({ min: 1, max: 10 }) }),
      {
        minLength: 1,
        maxLength: 40,
      },
    );
    await fc.assert(
      fc.asyncProperty(asked, async (requests) => {
        const instances = await fleet();
        const demandOf = (capacity: number) => ({ bucketId: "b", limit: limitOf(capacity, 1 / 3600, false) });
        let spent = 0;
        for (const { large, at, cost } of requests) {
          const taken = await instances[at]?.take([demandOf(large ? 60 : 10)], cost, 0);
          if (taken?.ok) spent += cost;
        }
        expect(spent).toBeLessThanOrEqual(60);
      }),
      { numRuns: 40 },
    );
  });

  test("one capacity after the other: the smaller one clamps what is left, and the larger one fills nothing", async () => {
    const [raised, old] = await fleet();
    const take = async (pool: typeof raised, capacity: number, cost: number) =>
      (await pool?.take([{ bucketId: "b", limit: limitOf(capacity, 1 / 3600, false) }], cost, 0))?.ok;
    expect(await take(raised, 60, 1)).toBe(true);
    expect(await take(old, 10, 1)).toBe(true);
    // Of its 10, one is out in a lease that is not settled yet, and one is spent.
    expect(await take(raised, 60, 9)).toBe(false);
    expect(await take(raised, 60, 8)).toBe(true);
    expect(await take(raised, 60, 1)).toBe(false);
  });

  test("a Redis that forgets its scripts again and again: nobody notices", async () => {
    const instances = await fleet();
    const demand = { bucketId: "b", limit: limitOf(100, 1 / 3600, false) };
    let ok = 0;
    for (let round = 0; round < 20; round++) {
      const takes = instances.flatMap((pool) => [pool.take([demand], 1, 0), pool.take([demand], 1, 0)]);
      await setup.onAll("SCRIPT", "FLUSH");
      ok += await admitted(takes);
    }
    expect(ok).toBe(100);
  });

  test("a flood against an empty bucket needs under 0.01 commands a check", async () => {
    const instances = await fleet();
    const demand = { bucketId: "b", limit: limitOf(10, 1 / 3600) };
    let asked = 0;
    for (let round = 0; round < 1000; round++) {
      for (const pool of instances) {
        asked++;
        await pool.take([demand], 1, 0);
      }
    }
    const commands = instances.reduce((sum, pool) => sum + pool.commands(), 0);
    expect(commands / asked).toBeLessThan(0.01);
  });

  test("a hot key with a large bucket needs under 0.05 commands a check", async () => {
    const instances = await fleet();
    const demand = { bucketId: "b", limit: limitOf(100_000, 10_000) };
    const taken = await Promise.all(
      instances.map(async (pool) => {
        let ok = 0;
        const end = performance.now() + 600;
        while (performance.now() < end) {
          ok += await admitted(Array.from({ length: 20 }, () => pool.take([demand], 1, 0)));
          await new Promise((resolve) => setImmediate(resolve));
        }
        return ok;
      }),
    );
    const commands = instances.reduce((sum, pool) => sum + pool.commands(), 0);
    expect(commands / taken.reduce((sum, ok) => sum + ok, 0)).toBeLessThan(0.05);
  });

  test("a refused request costs no token of any bucket", async () => {
    const [pool] = await fleet();
    if (pool === undefined) throw new Error("no pool");
    const wide = { bucketId: "wide", limit: limitOf(5, 1 / 3600) };
    const narrow = { bucketId: "narrow", limit: limitOf(1, 1 / 3600) };
    expect(await admitted([pool.take([wide, narrow], 1, 0)])).toBe(1);
    for (let refused = 0; refused < 20; refused++)
      expect(await admitted([pool.take([wide, narrow], 1, 0)])).toBe(0);
    expect(await admitted(Array.from({ length: 9 }, () => pool.take([wide], 1, 0)))).toBe(4);
  });

  test("what one instance gives back, another may spend", async () => {
    const [first, second] = await fleet();
    if (first === undefined || second === undefined) throw new Error("two pools");
    const demand = { bucketId: "b", limit: limitOf(40, 1 / 3600) };
    for (let sent = 0; sent < 8; sent++) await first.take([demand], 1, 0);
    await first.close();
    expect(await admitted(Array.from({ length: 60 }, () => second.take([demand], 1, 0)))).toBe(32);
  });

  test("a bucket that refills in thousands of years does not disturb those that are asked with it", async () => {
    const [pool] = await fleet();
    const demandOf = (bucketId: string, refill: number) => ({ bucketId, limit: limitOf(2, refill, false) });
    const slow = demandOf("slow", 1e-11);
    expect((await pool?.take([slow], 2, 0))?.ok).toBe(true);
    const others = ["a", "b", "c"].map((bucketId) => demandOf(bucketId, 1));
    const outcomes = await Promise.all([slow, ...others].map((demand) => pool?.take([demand], 1, 0)));
    expect(outcomes.map((outcome) => outcome?.ok)).toEqual([false, true, true, true]);
    expect(outcomes[0]).toMatchObject({ reason: "rate_limited" });
  });

  test("a lone client that waits Retry-After is admitted", async () => {
    const [pool] = await fleet();
    if (pool === undefined) throw new Error("no pool");
    const demand = { bucketId: "b", limit: limitOf(2, 2) };
    await admitted(Array.from({ length: 3 }, () => pool.take([demand], 1, 0)));
    const refused = await pool.take([demand], 2, 0);
    if (refused.ok) throw new Error("the bucket was empty");
    await pass(refused.retryAfterSeconds * 1000);
    expect(await admitted([pool.take([demand], 2, 0)])).toBe(1);
  });
});

describe("without Redis", () => {
  const unavailable: TakeOutcome = {
    ok: false,
    reason: "limits_unavailable",
    retryAfterSeconds: 1,
    rates: [],
  };
  const denying: BucketStore = { take: () => unavailable };

  test("an outage is decided by the fault policy, without waiting once it is known, and healing is noticed", async () => {
    const own = await startRegistry();
    const client = await openTestedSpread({ url: own.url, commandTimeoutMs: 50 });
    client.finishStartup();
    let sent = 0;
    const counted: TestedSpread = {
      ...client,
      script(source) {
        const run = client.script(source);
        return (keys, args) => {
          sent++;
          return run(keys, args);
        };
      },
    };
    const pool = newPool(counted, denying);
    const demand = { bucketId: "b", limit: limitOf(10, 1000, false) };
    try {
      await expect.poll(async () => (await pool.take([demand], 10, 0)).ok).toBe(true);
      process.kill(own.pid, "SIGSTOP");
      for (let failed = 0; failed < 4; failed++)
        expect(await pool.take([demand], 10, 0)).toEqual(unavailable);
      sent = 0;
      for (let failed = 0; failed < 1000; failed++) await pool.take([demand], 10, 0);
      expect(sent).toBeLessThan(20);
      process.kill(own.pid, "SIGCONT");
      const again = async () => (await pool.take([demand], 1, 0)).ok;
      await expect.poll(again, { interval: 20 }).toBe(true);
    } finally {
      await client.close();
      await own.stop("SIGKILL");
    }
  });
});
