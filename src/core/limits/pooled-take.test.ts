import { describe, expect, test } from "vitest";
import { quotaDemand } from "../../../test/support/quota-demand.ts";
import type { Quota, RateLimit } from "../policy/policy.ts";
import type { QuotaExchange } from "../quotas/quota-exchange.ts";
import type { LeasePoolPorts } from "./lease-pool.ts";
import { createLeasePool } from "./lease-pool.ts";
import type { LeaseReply, LeaseRequest } from "./leased-bucket.ts";
import type { BucketDemand, LocalBuckets, TakeOutcome } from "./ports.ts";

/** An hour before the end of a day. */
const WALL_MS = Date.UTC(2027, 4, 10, 23);

/** One policy: the same bucket always has the same limit object. */
const BUCKETS = new Map(
  ["a", "b", "c", "d", "leased"].map((name) => {
    const leased = name === "leased";
    return [name, { name, per: "key", capacity: leased ? 1000 : 50, refillPerSecond: 5, leased }] as const;
  }),
) satisfies ReadonlyMap<string, RateLimit>;

function bucket(name: string): BucketDemand {
  return { bucketId: name, limit: BUCKETS.get(name) ?? expect.unreachable() };
}

/** The same bucket under another policy. */
function another(name: string): BucketDemand {
  const { bucketId, limit } = bucket(name);
  return { bucketId, limit: { ...limit } };
}

function quota(name: string, more: Partial<Quota> = {}) {
  return [quotaDemand({ name, ...more })];
}

type Answer = Partial<LeaseReply> | "lost";
interface Options extends Partial<Pick<LeasePoolPorts, "fallback">> {
  /** By the name of the limit. Without an answer, the cost is granted. */
  readonly answers?: Readonly<Record<string, Answer>>;
  readonly local?: LocalBuckets;
  readonly withoutStore?: ReturnType<QuotaExchange["withoutStore"]>;
}

/** A pool, and what it has sent. */
function open({ answers = {}, fallback, local, withoutStore = "count" }: Options = {}) {
  const clock = { nowMs: 500_000 };
  const requests: LeaseRequest[] = [];
  const sent: (readonly [name: string, cost: number | undefined])[] = [];
  const counted: (readonly [name: string, cost: number])[] = [];
  const answer = async (name: string, request: LeaseRequest | undefined): Promise<LeaseReply> => {
    sent.push([name, request?.cost]);
    if (request !== undefined) requests.push(request);
    const given = answers[name] ?? {};
    if (given === "lost") throw new Error("lost on purpose");
    return { grantedTokens: request?.cost ?? 0, waitUs: 0, leasesOutstanding: false, ...given };
  };
  const pool = createLeasePool({
    store: { step: (id, _limit, _settlements, request) => answer(id, request) },
    quotas: {
      step: ({ quota: { name } }, _settlements, request) =>
        answer(name, request).then((reply) => ({ counter: { lifeUs: 1_000_000, freeUnits: 0 }, ...reply })),
      withoutStore: () => withoutStore,
      count: ({ quota: { name } }, cost) => void counted.push([name, cost]),
      forget: () => undefined,
    },
    monotonicMs: () => clock.nowMs,
    instanceId: "i",
    maxBuckets: 3,
    fallback: fallback ?? { take: () => expect.unreachable() },
    ...(local && { localBuckets: local }),
  });
  return { pool, clock, sent, requests, counted };
}

async function sweepFor(ms: number, { pool, clock }: Pick<ReturnType<typeof open>, "pool" | "clock">) {
  for (const endMs = clock.nowMs + ms; clock.nowMs < endMs; clock.nowMs += 50) await pool.sweep();
}

const status = (outcome: TakeOutcome) => outcome.rates.map(({ name, remaining }) => [name, remaining]);
const denied = (waitSeconds: number): Answer => ({ grantedTokens: 0, waitUs: waitSeconds * 1_000_000 });

describe("a request", () => {
  test("takes from all its limits, which are asked at once", async () => {
    const { pool, sent } = open();
    const taken = pool.take([bucket("a"), bucket("b")], 2, WALL_MS, quota("q"));
    expect(sent).toEqual([
      ["a", 2],
      ["b", 2],
      ["q", 2],
    ]);
    expect(await taken).toMatchObject({ ok: true });
    expect(status(await taken)).toEqual([
      ["a", 0],
      ["b", 0],
      ["q", 0],
    ]);
  });

  test("that is covered by leases takes from them at once, without a message", async () => {
    const { pool, sent } = open({ answers: { a: { grantedTokens: 7 } } });
    await pool.take([bucket("a")], 2, WALL_MS);
    const second = pool.take([bucket("a")], 2, WALL_MS);
    expect(second).not.toBeInstanceOf(Promise);
    expect(second).toMatchObject({ ok: true, rates: [{ name: "a", remaining: 3 }] });
    expect(sent).toHaveLength(1);
  });

  test("only asks for what it lacks", async () => {
    const { pool, sent } = open({ answers: { a: { grantedTokens: 4 } } });
    await pool.take([bucket("a")], 2, WALL_MS);
    sent.length = 0;
    await pool.take([bucket("a"), bucket("b")], 2, WALL_MS);
    expect(sent).toEqual([["b", 2]]);
  });

  test("of cost 0 is admitted without a message, although a limit is empty", async () => {
    const { pool, sent } = open({ answers: { a: denied(9) } });
    await pool.take([bucket("a")], 1, WALL_MS);
    sent.length = 0;
    expect(await pool.take([bucket("a")], 0, WALL_MS)).toMatchObject({ ok: true });
    expect(sent).toEqual([]);
  });

  test("reserves units of a quota that is charged after the response, and not its own cost", async () => {
    const { pool, sent } = open();
    await pool.take([bucket("a")], 2, WALL_MS, [...quota("q"), ...quota("t", { unit: "tokens" })], 30);
    expect(sent).toEqual([
      ["a", 2],
      ["q", 2],
      ["t", 30],
    ]);
  });

  test("of cost 0 takes what its route reserves", async () => {
    const { pool, sent } = open({ answers: { t: { grantedTokens: 0, waitUs: 9_000_000 } } });
    const tokens = quota("t", { unit: "tokens" });
    expect(await pool.take([], 0, WALL_MS, tokens, 30)).toMatchObject({ reason: "quota_exceeded" });
    expect(sent).toEqual([["t", 30]]);
  });

  test("waits for the pending message of its limit, and the next one asks for all that wait", async () => {
    const { pool, requests } = open();
    await Promise.all([2, 3, 4].map((cost) => pool.take([bucket("a")], cost, WALL_MS)));
    await pool.take([bucket("a")], 5, WALL_MS);
    expect(requests.map(({ cost, waiting }) => [cost, waiting])).toEqual([
      [2, 2],
      [3, 7],
      [4, 4],
      [5, 5],
    ]);
  });

  test.each([
    ["a bucket", [bucket("leased")], [], ["leased", 1]],
    ["a quota, without a minimum", [], quota("q", { limit: 1000 }), ["q", 0]],
  ] as const)(
    "asks ahead of need, once, while much is taken from %s",
    async (_what, buckets, quotas, ahead) => {
      const lease = { grantedTokens: 10 };
      const { pool, sent } = open({ answers: { leased: lease, q: lease } });
      for (let taken = 0; taken < 7; taken++) await pool.take(buckets, 1, WALL_MS, quotas);
      expect(sent).toHaveLength(1);
      for (let taken = 0; taken < 2; taken++)
        expect(pool.take(buckets, 1, WALL_MS, quotas)).toMatchObject({ ok: true });
      expect(sent.slice(1)).toEqual([ahead]);
    },
  );

  test("that loses the granted units of a quota again and again is denied by it in the end", async () => {
    const { pool } = open({ answers: { q: { grantedTokens: 1 } } });
    expect(await pool.take([], 20, WALL_MS, quota("q"))).toMatchObject({
      reason: "quota_exceeded",
      quota: { name: "q" },
    });
  });

  test("that loses the granted tokens to others again and again is denied in the end", async () => {
    const { pool, sent } = open({ answers: { a: { grantedTokens: 1 } } });
    const outcome = await pool.take([bucket("a")], 20, WALL_MS);
    expect(outcome).toMatchObject({ ok: false, reason: "rate_limited", retryAfterSeconds: 1 });
    expect(sent).toHaveLength(16);
  });
});

describe("a denial", () => {
  test("has the longest wait of the limits that lack tokens, in whole seconds, and takes from none", async () => {
    const { pool, sent } = open({ answers: { a: denied(2.1), b: denied(7), c: { grantedTokens: 9 } } });
    const outcome = await pool.take([bucket("a"), bucket("b"), bucket("c")], 1, WALL_MS);
    expect(outcome).toMatchObject({ ok: false, reason: "rate_limited", retryAfterSeconds: 7 });
    expect(status(outcome)).toEqual([
      ["a", 0],
      ["b", 0],
      ["c", 9],
    ]);
    sent.length = 0;
    // A denial is remembered, so the next one needs no promise.
    expect(pool.take([bucket("a"), bucket("c")], 1, WALL_MS)).toMatchObject({ retryAfterSeconds: 3 });
    expect(sent).toEqual([]);
  });

  test("has at least one second", async () => {
    const { pool } = open({ answers: { a: denied(0.001) } });
    expect(await pool.take([bucket("a")], 1, WALL_MS)).toMatchObject({ ok: false, retryAfterSeconds: 1 });
  });

  test("by a quota names it, also beside an empty bucket, and the one with the longest wait", async () => {
    const { pool } = open({ answers: { a: denied(2), q: denied(3600), m: denied(90_000) } });
    const outcome = await pool.take([bucket("a")], 1, WALL_MS, [
      ...quota("q"),
      ...quota("m", { every: "month" }),
    ]);
    expect(outcome).toMatchObject({
      ok: false,
      reason: "quota_exceeded",
      retryAfterSeconds: 90_000,
      quota: { name: "m", limit: 50, resetsAtMs: Date.UTC(2027, 5, 1) },
    });
  });

  test("by a quota is one also if a bucket has the longer wait, which the client must wait for", async () => {
    const { pool } = open({ answers: { a: denied(9000), q: denied(3600) } });
    expect(await pool.take([bucket("a")], 1, WALL_MS, quota("q"))).toMatchObject({
      reason: "quota_exceeded",
      retryAfterSeconds: 9000,
      quota: { name: "q" },
    });
  });

  test("of a cost above a quota lasts until its window ends, and needs no message", async () => {
    const { pool, sent } = open();
    expect(await pool.take([], 51, WALL_MS, quota("q"))).toMatchObject({
      reason: "quota_exceeded",
      retryAfterSeconds: 3600,
    });
    expect(sent).toEqual([]);
    expect(await pool.take([], 50, WALL_MS, quota("q"))).toMatchObject({ ok: true });
  });
});

describe("buckets of this process", () => {
  const local = (waitSeconds: number): LocalBuckets & { readonly costs: number[] } => {
    const costs: number[] = [];
    return {
      costs,
      waitSeconds: () => waitSeconds,
      take: (demands, cost) => {
        costs.push(cost);
        const rates = demands.map(({ limit }) => ({ ...limit, windowSeconds: 1, remaining: 5 - cost }));
        return { ok: true, rates };
      },
    };
  };

  test("are taken from together with the quotas, which come after them", async () => {
    const buckets = local(0);
    const { pool, sent } = open({ local: buckets });
    const outcome = await pool.take([bucket("a")], 2, WALL_MS, quota("q"));
    expect(status(outcome)).toEqual([
      ["a", 3],
      ["q", 0],
    ]);
    expect([sent, buckets.costs]).toEqual([[["q", 2]], [2]]);
  });

  test("deny without taking anything, and without waiting for a quota that is known to have units left", async () => {
    const buckets = local(4);
    const answers = { q: { counter: { lifeUs: 1_000_000, freeUnits: 40 } } };
    const { pool, sent, clock } = open({ local: buckets, answers });
    const take = async () => pool.take([bucket("a")], 2, WALL_MS, quota("q"));
    const expected = { ok: false, reason: "rate_limited", retryAfterSeconds: 4 };
    expect(await take()).toMatchObject(expected);
    clock.nowMs += 2000;
    expect(await take()).toMatchObject(expected);
    expect(sent).toEqual([["q", 2]]);
    expect(Math.max(...buckets.costs)).toBe(0);
    clock.nowMs += 60_000;
    await take();
    expect(sent).toHaveLength(2);
  });

  test("ask again about a quota that had less left than the request takes", async () => {
    const answers = { q: { counter: { lifeUs: 1_000_000, freeUnits: 1 } } };
    const { pool, sent, clock } = open({ local: local(4), answers });
    for (let take = 0; take < 2; take++) {
      await pool.take([bucket("a")], 2, WALL_MS, quota("q"));
      clock.nowMs += 2000;
    }
    expect(sent).toEqual([
      ["q", 2],
      ["q", 2],
    ]);
  });

  test("deny also without the store, and nothing is counted", async () => {
    const { pool, counted } = open({ local: local(4), answers: { q: "lost" } });
    expect(await pool.take([bucket("a")], 2, WALL_MS, quota("q"))).toMatchObject({
      reason: "rate_limited",
      retryAfterSeconds: 4,
    });
    expect(counted).toEqual([]);
  });

  test("are looked at by a peek, which takes nothing", async () => {
    const buckets = local(0);
    const { pool } = open({ local: buckets });
    expect(await pool.peek({ buckets: [bucket("a")], quotas: [] }, WALL_MS)).toMatchObject({ ok: true });
    expect(Math.max(...buckets.costs)).toBe(0);
  });
});

test("a request that only a bucket denies is rate_limited, although the lease of its quota has ended meanwhile", async () => {
  const answers = {
    a: denied(30),
    q: { grantedTokens: 2, counter: { lifeUs: 1_000_000, freeUnits: 40 } },
  };
  const { pool, clock } = open({ answers });
  for (let seconds = 0; seconds < 20; seconds++) {
    const outcome = await pool.take([bucket("a")], 2, WALL_MS, quota("q"));
    expect(outcome).toMatchObject({ ok: false, reason: "rate_limited" });
    expect(outcome).not.toHaveProperty("quota");
    clock.nowMs += 1000;
  }
});

describe("a peek", () => {
  test("asks for one token, and leaves it in the lease for the next request", async () => {
    const { pool, sent } = open();
    const demand = { buckets: [bucket("a")], quotas: [] };
    expect(await pool.peek(demand, WALL_MS)).toMatchObject({ ok: true, rates: [{ remaining: 1 }] });
    expect(await pool.take(demand.buckets, 1, WALL_MS)).toMatchObject({ ok: true });
    expect(sent).toEqual([["a", 1]]);
  });
});

describe("without the store", () => {
  const spare = (ok = true) => {
    const costs: number[] = [];
    const outcome: TakeOutcome = ok
      ? { ok, rates: [{ name: "spare", capacity: 9, windowSeconds: 1, remaining: 3 }] }
      : { ok, reason: "rate_limited", retryAfterSeconds: 6, rates: [] };
    return {
      costs,
      take(_demands: readonly BucketDemand[], cost: number) {
        costs.push(cost);
        return outcome;
      },
    };
  };

  test("the fallback decides about buckets, and quotas are counted if it admits", async () => {
    const fallback = spare();
    const { pool, counted } = open({ answers: { a: "lost", q: "lost" }, fallback });
    const outcome = await pool.take([bucket("a")], 2, WALL_MS, quota("q"));
    expect(outcome.ok).toBe(true);
    expect(status(outcome)).toEqual([
      ["spare", 3],
      ["q", 0],
    ]);
    expect([fallback.costs, counted]).toEqual([[2], [["q", 2]]]);
  });

  test("nothing is counted if the fallback denies", async () => {
    const { pool, counted } = open({ answers: { a: "lost", q: "lost" }, fallback: spare(false) });
    expect(await pool.take([bucket("a")], 2, WALL_MS, quota("q"))).toMatchObject({
      ok: false,
      retryAfterSeconds: 6,
    });
    expect(counted).toEqual([]);
  });

  test("buckets that leases cover are spent from them, and only the quota is counted", async () => {
    const { pool, counted } = open({ answers: { a: { grantedTokens: 3 }, q: "lost" } });
    await pool.take([bucket("a")], 1, WALL_MS);
    const outcome = await pool.take([bucket("a")], 2, WALL_MS, quota("q"));
    expect(outcome.ok).toBe(true);
    expect(status(outcome)).toEqual([
      ["a", 0],
      ["q", 0],
    ]);
    expect(counted).toEqual([["q", 2]]);
  });

  test("a quota that a lease covers is spent from it and not counted", async () => {
    const { pool, counted } = open({
      answers: { a: "lost", q: { grantedTokens: 3, counter: { lifeUs: 1_000_000, freeUnits: 0 } } },
      fallback: spare(),
    });
    await pool.take([], 1, WALL_MS, quota("q"));
    const outcome = await pool.take([bucket("a")], 2, WALL_MS, quota("q"));
    expect(status(outcome)[1]).toEqual(["q", 0]);
    expect(counted).toEqual([]);
  });

  test("a peek takes nothing, and is denied if the fallback holds no whole token", async () => {
    const drained: TakeOutcome = {
      ok: true,
      rates: [{ name: "a", capacity: 9, windowSeconds: 1, remaining: 0 }],
    };
    const [full, empty] = [spare(), { ...spare(), take: () => drained }];
    const peek = async (fallback: typeof full | typeof empty) =>
      open({ answers: { a: "lost" }, fallback }).pool.peek({ buckets: [bucket("a")], quotas: [] }, WALL_MS);
    expect(await peek(full)).toMatchObject({ ok: true });
    expect(full.costs).toEqual([0]);
    expect(await peek(empty)).toMatchObject({ ok: false, reason: "rate_limited", retryAfterSeconds: 1 });
  });

  test("`faults.quotas: deny` denies, and the fallback is not asked", async () => {
    const { pool } = open({ answers: { q: "lost" }, withoutStore: "deny" });
    expect(await pool.take([bucket("a")], 2, WALL_MS, quota("q"))).toEqual({
      ok: false,
      reason: "limits_unavailable",
      retryAfterSeconds: 1,
      rates: [],
    });
  });

  test("a quota that is known to be exhausted denies until its window ends", async () => {
    const { pool } = open({ answers: { q: "lost" }, withoutStore: "exhausted" });
    expect(await pool.take([bucket("a")], 2, WALL_MS + 1, quota("q"))).toMatchObject({
      ok: false,
      reason: "quota_exceeded",
      retryAfterSeconds: 3600,
      quota: { name: "q" },
    });
  });
});

describe("limits in memory", () => {
  test("are at most the maximum: the least recently used one returns its tokens", async () => {
    const { pool, sent, clock } = open({ answers: { a: { grantedTokens: 5 } } });
    for (const name of ["a", "b", "c"]) {
      await pool.take([bucket(name)], 1, WALL_MS);
      clock.nowMs += 60;
    }
    await pool.take([bucket("b")], 1, WALL_MS);
    sent.length = 0;
    await pool.take([bucket("d")], 1, WALL_MS);
    expect(pool.size()).toBe(3);
    expect(sent).toContainEqual(["a", undefined]);
  });

  test("return their tokens when a new policy has another limit or another time zone", async () => {
    const { pool, sent } = open({ answers: { a: { grantedTokens: 5 }, q: { grantedTokens: 5 } } });
    const first = bucket("a");
    const next = { ...first, limit: { ...first.limit } };
    await pool.take([first], 1, WALL_MS);
    await pool.take([next], 1, WALL_MS);
    expect(sent).toEqual([
      ["a", 1],
      ["a", undefined],
      ["a", 1],
    ]);
    sent.length = 0;
    await pool.take([], 1, WALL_MS, quota("q"));
    await pool.take([], 1, WALL_MS, quota("q"));
    await pool.take([], 1, WALL_MS, quota("q", { timeZone: "Europe/Berlin" }));
    expect(sent).toEqual([
      ["q", 1],
      ["q", undefined],
      ["q", 1],
    ]);
    expect(pool.size()).toBe(2);
  });

  test("return also what they are granted after their removal", async () => {
    const { pool, sent, clock } = open({ answers: { a: { grantedTokens: 5 } } });
    const pending = pool.take([bucket("a")], 1, WALL_MS);
    await pool.take([another("a")], 0, WALL_MS);
    await pending;
    sent.length = 0;
    await sweepFor(300, { pool, clock });
    expect(sent).toEqual([["a", undefined]]);
  });

  test("repeat a return that was lost after their removal, also at the end", async () => {
    const answers: Record<string, Answer> = { a: { grantedTokens: 5 } };
    const { pool, sent, clock } = open({ answers });
    await pool.take([bucket("a")], 1, WALL_MS);
    answers["a"] = "lost";
    sent.length = 0;
    await pool.take([another("a")], 0, WALL_MS);
    await sweepFor(50, { pool, clock });
    await sweepFor(50, { pool, clock });
    answers["a"] = {};
    await pool.close();
    expect(sent).toEqual([1, 2, 3, 4].map(() => ["a", undefined]));
    await sweepFor(50, { pool, clock });
    expect(sent).toHaveLength(4);
  });

  test("that were reset are asked for again, also every limit of one counter", async () => {
    const { pool, sent } = open({ answers: { a: { grantedTokens: 5 }, q: { grantedTokens: 5 } } });
    const takeAll = async () => {
      await pool.take([bucketA], 1, WALL_MS, quota("q"));
      await pool.take([], 1, WALL_MS, quota("q", { limit: 60 }));
    };
    const bucketA = bucket("a");
    await takeAll();
    await takeAll();
    expect(sent).toHaveLength(3);
    pool.forget("a");
    pool.forget(quota("q")[0]?.counterId ?? "");
    expect(pool.size()).toBe(0);
    await takeAll();
    expect(sent).toHaveLength(6);
  });

  test("are forgotten after they have returned their tokens", async () => {
    const { pool, sent, clock } = open({ answers: { a: { grantedTokens: 5 } } });
    await pool.take([bucket("a")], 1, WALL_MS);
    for (let sweeps = 0; sweeps < 30; sweeps++) {
      clock.nowMs += 50;
      await pool.sweep();
    }
    expect(sent).toEqual([
      ["a", 1],
      ["a", undefined],
    ]);
    expect(pool.size()).toBe(0);
  });

  test("return everything at the end, and a limit without a lease sends nothing", async () => {
    const answers = { a: { grantedTokens: 5 }, b: denied(9), q: { grantedTokens: 5 } };
    const { pool, sent } = open({ answers });
    await pool.take([bucket("a")], 1, WALL_MS, quota("q"));
    await pool.take([bucket("b")], 1, WALL_MS);
    sent.length = 0;
    await pool.close();
    expect(sent).toEqual([
      ["a", undefined],
      ["q", undefined],
    ]);
  });

  test("return at the end also what a pending request is granted", async () => {
    const store = Promise.withResolvers<LeaseReply>();
    const returned: number[] = [];
    const pool = createLeasePool({
      store: {
        step(_id, _limit, settlements, request) {
          if (request !== undefined) return store.promise;
          returned.push(...settlements.map(({ unspentTokens }) => unspentTokens));
          return Promise.resolve({ grantedTokens: 0, waitUs: 0, leasesOutstanding: false });
        },
      },
      monotonicMs: () => 0,
      instanceId: "i",
      maxBuckets: 3,
      fallback: { take: () => expect.unreachable() },
    });
    const pending = pool.take([bucket("a")], 1, WALL_MS);
    const closing = pool.close();
    await new Promise(setImmediate);
    store.resolve({ grantedTokens: 5, waitUs: 0, leasesOutstanding: false });
    await closing;
    expect(await pending).toMatchObject({ ok: true });
    expect(returned).toEqual([4]);
  });

  test("are forgotten also by a pool without quotas", () => {
    const pool = createLeasePool({
      store: { step: () => expect.unreachable() },
      monotonicMs: () => 0,
      instanceId: "i",
      maxBuckets: 3,
      fallback: { take: () => expect.unreachable() },
    });
    void pool.take([bucket("a")], 0, WALL_MS);
    expect(pool.size()).toBe(1);
    pool.forget("a");
    expect(pool.size()).toBe(0);
  });
});
