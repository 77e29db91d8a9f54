import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RateLimitResponse } from "../../scripts/protobuf.ts";
import { RATE_LIMIT_METHOD } from "../../scripts/protobuf.ts";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import { createLeasePool } from "../core/limits/lease-pool.ts";
import type { LeasedBucket } from "../core/limits/leased-bucket.ts";
import { fullLeasedBucket, leaseStep } from "../core/limits/leased-bucket.ts";
import type { DescriptorLimits } from "../core/limits/ports.ts";
import type { QuotaStore } from "../core/quotas/quota-store.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import { createQuotaStore } from "../memory/quota-store.ts";
import { createEmbeddedLimits } from "../server/embedded-limits.ts";
import type { ShouldRateLimitPorts } from "./should-rate-limit.ts";
import { createShouldRateLimit } from "./should-rate-limit.ts";

function policyOf(faults: "local" | "allow", unit = "DAY") {
  return parsedPolicy(`
faults: { limits: ${faults} }
rate_limit_service:
  domains:
    edge:
      descriptors:
        - { key: path, rate_limit: { unit: minute, requests_per_unit: 2 } }
        - { key: trial, shadow_mode: true, rate_limit: { unit: hour, requests_per_unit: 1 } }
        - { key: big, rate_limit: { capacity: 100, refill: 10/s } }
        - { key: slow, rate_limit: { capacity: 100, refill: 2/d } }
        - { key: free, rate_limit: { unlimited: true } }
        - { key: daily, rate_limit: { unit: ${unit}, requests_per_unit: 4 } }
        - { key: weekly, rate_limit: { unit: week, requests_per_unit: 100 } }
        - { key: monthly, shadow_mode: true, rate_limit: { unit: month, requests_per_unit: 1 } }
        - { key: a, rate_limit: { capacity: 1, refill: 1/h }, descriptors: [{ key: b, rate_limit: { capacity: 1, refill: 1/h } }] }
    other: { descriptors: [{ key: path, rate_limit: { unit: minute, requests_per_unit: 2 } }] }
`);
}

/** A Monday, 6 hours before its end. */
const NOW_MS = Date.UTC(2026, 10, 30, 18);

/** Buckets in memory, and counters of quotas whose store has another clock. */
function inMemory(
  store: QuotaStore = createQuotaStore(() => NOW_MS),
  onThreshold: () => void = () => undefined,
): DescriptorLimits {
  const limits = createEmbeddedLimits({
    buckets: createBucketStore({ maxBuckets: 1 }),
    store,
    storeNowMs: () => NOW_MS,
    instanceId: "i",
    faults: () => ({ quotas: "count" }),
    onThreshold,
    maxBuckets: 1,
    maxDescriptorBuckets: 1000,
  });
  return limits.descriptorLimits;
}

const CODES = ["UNKNOWN", "OK", "OVER_LIMIT"];
const [OK, OVER_LIMIT, SECOND, MINUTE, DAY, MONTH, WEEK] = [1, 2, 1, 2, 4, 5, 7];

function open(
  more: Partial<ShouldRateLimitPorts> = {},
  faults: "local" | "allow" = "local",
  timeLeftMs = 1000,
) {
  const results: string[] = [];
  const policy = policyOf(faults);
  const handle = createShouldRateLimit({
    policy: () => policy,
    limits: inMemory(),
    receiveCharge: () => false,
    nowMs: () => NOW_MS,
    onResult: (domain, result) => results.push(`${domain} ${result}`),
    onFault: (error) => results.push(String(error)),
    ...more,
  });
  const raw = async (bytes: Uint8Array | undefined): Promise<RateLimitResponse> =>
    RATE_LIMIT_METHOD.responseDeserialize(Buffer.from(await handle(bytes, timeLeftMs)));
  /** Each descriptor is a list of `key=value`, with `+n` for its own hits; a `+` alone is a wrapper without a value. */
  const ask = (descriptors: readonly string[], { domain = "edge", hits = 0 } = {}) =>
    raw(
      RATE_LIMIT_METHOD.requestSerialize({
        domain,
        hits_addend: hits,
        descriptors: descriptors.map((text) => {
          const [pairs = "", own] = text.split("+");
          const entries = pairs.split(",").map((pair) => {
            const [key = "", value = ""] = pair.split("=");
            return { key, value };
          });
          return { entries, ...(own !== undefined && { hits_addend: own === "" ? {} : { value: own } }) };
        }),
      }),
    );
  const codes = async (...args: Parameters<typeof ask>) => {
    const { overall_code, statuses } = await ask(...args);
    return [overall_code, ...statuses.map(({ code }) => code)].map((code) => CODES[code]).join(" ");
  };
  return { ask, codes, raw, results };
}

test("each value has a bucket of its own, and one above its limit spares no other", async () => {
  const { codes, results } = open();
  expect(await codes(["path=/a"])).toBe("OK OK");
  expect(await codes(["path=/a", "path=/b"])).toBe("OK OK OK");
  expect(await codes(["path=/a", "path=/b"])).toBe("OVER_LIMIT OVER_LIMIT OK");
  expect(await codes(["path=/b"])).toBe("OVER_LIMIT OVER_LIMIT");
  expect(await codes(["path=/a"], { domain: "other" })).toBe("OK OK");
  expect(results.at(-2)).toBe("edge over_limit");
  expect(results.at(-1)).toBe("other ok");
});

test("a response has the limit, what is left, and the time until it is reset", async () => {
  const { ask } = open();
  expect((await ask(["path=/a"])).statuses).toEqual([
    {
      code: OK,
      current_limit: { name: "path", requests_per_unit: 2, unit: MINUTE },
      limit_remaining: 1,
      duration_until_reset: { seconds: "30", nanos: 0 },
    },
  ]);
  const limits = (await ask(["big=x", "slow=x"])).statuses.map(({ current_limit: limit }) => limit);
  expect(limits).toMatchObject([
    { requests_per_unit: 10, unit: SECOND },
    { requests_per_unit: 2, unit: DAY },
  ]);
  await ask(["path=/a"]);
  expect((await ask(["path=/a"])).statuses[0]).toMatchObject({
    code: OVER_LIMIT,
    limit_remaining: 0,
    duration_until_reset: { seconds: "30" },
  });
});

test("hits of the request and of a descriptor are taken, and no more than a bucket can hold", async () => {
  const { codes } = open();
  expect(await codes(["big=x"], { hits: 60 })).toBe("OK OK");
  for (const none of ["big=x+0", "big=x+"]) expect(await codes([none], { hits: 1 })).toBe("OK OK");
  expect(await codes(["big=x+40"], { hits: 1 })).toBe("OK OK");
  expect(await codes(["big=x"])).toBe("OVER_LIMIT OVER_LIMIT");
  // More than the capacity is never admitted.
  for (const hits of [101, 2 ** 32 - 1])
    expect(await codes(["big=y"], { hits })).toBe("OVER_LIMIT OVER_LIMIT");
  expect(await codes(["big=z+18446744073709551615"])).toBe("OVER_LIMIT OVER_LIMIT");
});

test.each([59, 64, 100, 101])("%d hits above the 58 that are left take all of them", async (hits) => {
  const { codes, ask } = open();
  expect(await codes(["big=x"], { hits: 42 })).toBe("OK OK");
  expect((await ask(["big=x"], { hits })).statuses).toMatchObject([
    {
      code: OVER_LIMIT,
      limit_remaining: 0,
      duration_until_reset: { seconds: hits < 61 ? "6" : hits < 71 ? "7" : "10" },
    },
  ]);
  expect(await codes(["big=x"])).toBe("OVER_LIMIT OVER_LIMIT");
});

describe("a unit of a day or longer is a window of the calendar", () => {
  test("each value has a counter of its own, which admits the limit and no more", async () => {
    const { codes, results } = open();
    for (let calls = 0; calls < 4; calls++) expect(await codes(["daily=a"])).toBe("OK OK");
    expect(await codes(["daily=a", "daily=b"])).toBe("OVER_LIMIT OVER_LIMIT OK");
    expect(await codes(["monthly=a", "monthly=b"])).toBe("OK OK OK");
    expect(await codes(["monthly=a"])).toBe("OK OK");
    expect(results.at(-1)).toBe("edge shadow");
  });

  test("another unit counts apart, because its windows are others", async () => {
    let policy = policyOf("local");
    const { codes } = open({ policy: () => policy });
    expect(await codes(["daily=a"], { hits: 4 })).toBe("OK OK");
    policy = policyOf("local", "week");
    expect(await codes(["daily=a"], { hits: 4 })).toBe("OK OK");
    for (const unit of ["week", "day"]) {
      policy = policyOf("local", unit);
      expect(await codes(["daily=a"])).toBe("OVER_LIMIT OVER_LIMIT");
    }
  });

  test("clients choose the values, so no threshold is reported", async () => {
    const reported: string[] = [];
    const { codes } = open({ limits: inMemory(undefined, () => reported.push("threshold")) });
    for (const value of ["a", "b"]) expect(await codes([`daily=${value}`], { hits: 4 })).toBe("OK OK");
    expect(reported).toEqual([]);
  });

  test("a response has the limit of the window, what is left of it, and its end", async () => {
    const { ask } = open();
    const { statuses } = await ask(["daily=a", "weekly=a", "monthly=a"]);
    const left = (days: number) => ({ seconds: String(6 * 3600 + days * 86_400), nanos: 0 });
    expect(statuses).toEqual([
      { code: OK, ...shown("daily", 4, DAY), limit_remaining: 3, duration_until_reset: left(0) },
      { code: OK, ...shown("weekly", 100, WEEK), limit_remaining: 99, duration_until_reset: left(6) },
      { code: OK, ...shown("monthly", 1, MONTH), limit_remaining: 0, duration_until_reset: left(0) },
    ]);
    await ask(["daily=a"], { hits: 3 });
    expect((await ask(["daily=a"])).statuses).toEqual([
      { code: OVER_LIMIT, ...shown("daily", 4, DAY), limit_remaining: 0, duration_until_reset: left(0) },
    ]);
  });

  test("hits above what is left take all of it, and a check takes nothing", async () => {
    const { codes, ask } = open();
    for (let checks = 0; checks < 9; checks++) expect(await codes(["daily=a+0"])).toBe("OK OK");
    for (const hits of [5, 2 ** 32 - 1]) {
      const value = `daily=${hits}`;
      expect(await codes([value])).toBe("OK OK");
      expect((await ask([value], { hits })).statuses).toMatchObject([
        { code: OVER_LIMIT, limit_remaining: 0, duration_until_reset: { seconds: String(6 * 3600) } },
      ]);
      for (const more of ["+0", "+1"]) expect(await codes([value + more])).toBe("OVER_LIMIT OVER_LIMIT");
    }
  });

  test("without the store it follows faults.quotas: count, up to the limit in all", async () => {
    const lost: QuotaStore = { step: () => Promise.reject(new Error("lost on purpose")) };
    const { codes } = open({ limits: inMemory(lost) });
    for (let calls = 0; calls < 4; calls++) expect(await codes(["daily=a+0", "daily=a"])).toBe("OK OK OK");
    for (const over of ["daily=a+0", "daily=a"]) expect(await codes([over])).toBe("OVER_LIMIT OVER_LIMIT");
  });

  function shown(name: string, requests_per_unit: number, unit: number) {
    return { current_limit: { name, requests_per_unit, unit } };
  }
});

/** Buckets that instances share, in a store that responds at once. */
function sharedLimits(): DescriptorLimits {
  const buckets = new Map<string, LeasedBucket>();
  return createLeasePool({
    store: {
      async step(bucketId, limit, settlements, request) {
        const bucket = buckets.get(bucketId) ?? fullLeasedBucket(limit, 0);
        buckets.set(bucketId, bucket);
        return leaseStep(bucket, limit, settlements, request, 0);
      },
    },
    monotonicMs: () => 0,
    instanceId: "i",
    maxBuckets: 1000,
    fallback: { take: () => expect.unreachable() },
  });
}

test("hits above what is left take all of it also from a shared bucket", async () => {
  const { codes } = open({ limits: sharedLimits() });
  expect(await codes(["big=x"], { hits: 42 })).toBe("OK OK");
  expect(await codes(["big=x"], { hits: 90 })).toBe("OVER_LIMIT OVER_LIMIT");
  for (const hits of ["0", "1"]) expect(await codes([`big=x+${hits}`])).toBe("OVER_LIMIT OVER_LIMIT");
});

test.each([
  ["in memory", inMemory],
  ["shared", sharedLimits],
])("a request that checks a bucket %s first and charges afterwards is limited", async (_where, limits) => {
  const { codes, ask } = open({ limits: limits() });
  for (const expected of ["OK", "OK", "OK", "OVER_LIMIT", "OVER_LIMIT"]) {
    expect(await codes(["big=x+0"])).toBe(`${expected} ${expected}`);
    if (expected === "OK") await ask(["big=x+45"]);
  }
  // A check takes nothing.
  for (let checks = 0; checks < 9; checks++) expect(await codes(["path=x+0"])).toBe("OK OK");
  for (const expected of ["OK", "OK", "OVER_LIMIT"])
    expect(await codes(["path=x"])).toBe(`${expected} ${expected}`);
});

test("a denied request takes at most its hits, also if the limit is full again before it has taken them", async () => {
  for (const key of ["big", "weekly"]) {
    let calls = 0;
    let taken = 0;
    const limits: DescriptorLimits = {
      peek: () => expect.unreachable(),
      take(_buckets, cost) {
        if (calls++ === 0) return { ok: false, reason: "quota_exceeded", retryAfterSeconds: 1, rates: [] };
        taken += cost;
        return { ok: true, rates: [] };
      },
    };
    expect(await open({ limits }).codes([`${key}=x+42`])).toBe("OVER_LIMIT OVER_LIMIT");
    expect(taken).toBe(42);
  }
});

test("hits to return take nothing, and nothing is returned", async () => {
  const { codes, raw } = open();
  const refund = (key: string) =>
    raw(
      RATE_LIMIT_METHOD.requestSerialize({
        domain: "edge",
        hits_addend: 40,
        descriptors: [1, 2].map((at) => ({
          entries: [{ key, value: "x" }],
          ...(at === 1 && { hits_addend: { value: "40" } }),
          is_negative_hits: true,
        })),
      }),
    );
  for (const key of ["big", "weekly"]) {
    expect((await refund(key)).overall_code).toBe(OK);
    expect(await codes([`${key}=x+99`])).toBe("OK OK");
    await refund(key);
    expect(await codes([`${key}=x+2`])).toBe("OVER_LIMIT OVER_LIMIT");
  }
});

test("shadow mode allows and counts, unlimited and unknown descriptors are allowed", async () => {
  const { codes, results } = open();
  for (let calls = 0; calls < 3; calls++) expect(await codes(["trial=x"])).toBe("OK OK");
  expect(await codes(["free=x", "unknown=x"])).toBe("OK OK OK");
  expect(await codes(["path=x"], { domain: "__proto__" })).toBe("OK OK");
  expect(await codes([])).toBe("OK");
  expect(results).toEqual([
    "edge ok",
    "edge shadow",
    "edge shadow",
    "edge unlimited",
    "edge unmatched",
    "none unmatched",
  ]);
});

test("a client cannot choose the bucket of other entries, whatever its values contain", async () => {
  const ids: string[] = [];
  const limits: DescriptorLimits = {
    peek: () => expect.unreachable(),
    take(demands) {
      ids.push(...demands.map(({ bucketId }) => bucketId));
      return { ok: true, rates: [] };
    },
  };
  const { ask } = open({ limits });
  await ask([
    "a=1,b=2",
    "a=1b2",
    "a=1",
    "a=11:b1:2",
    "a=1:1",
    "a=",
    "path=1",
    "big=1",
    "a=,b=1",
    "a=é",
    "a=\u0000",
  ]);
  await ask(["path=1"], { domain: "other" });
  expect(new Set(ids).size).toBe(12);
  expect(ids.filter((id) => !/^rls\/[0-9a-f]{64}$/.test(id))).toEqual([]);
});

test("every request has the same limit object, to which leases belong", async () => {
  const objects = new Set<object>();
  const limits: DescriptorLimits = {
    peek: () => expect.unreachable(),
    take(demands) {
      for (const { limit } of demands) objects.add(limit);
      return { ok: true, rates: [] };
    },
  };
  const { ask } = open({ limits });
  for (const value of ["a", "b", "a"]) await ask([`path=${value}`]);
  expect(objects.size).toBe(1);
});

test.each([
  ["local", OVER_LIMIT],
  ["allow", OK],
] as const)("with faults.limits: %s, what cannot be decided gets %s", async (faults, code) => {
  const broken = {
    throws: () => {
      throw new Error("broken on purpose");
    },
    rejects: () => Promise.reject(new Error("broken on purpose")),
    never: () => new Promise<never>(() => undefined),
  };
  for (const take of Object.values(broken)) {
    const { ask, results } = open({ limits: { take, peek: take } }, faults);
    expect(await ask(["path=/a"])).toMatchObject({ overall_code: code, statuses: [{ code }] });
    expect(results.at(-1)).toBe("edge failed");
    // Each descriptor is decided by itself, so what needs no bucket or is in shadow mode is allowed.
    const all = await ask(["trial=x", "free=x", "unknown=x"]);
    expect(all).toMatchObject({ overall_code: OK, statuses: [{ code: OK }, { code: OK }, { code: OK }] });
    expect((await ask(["trial=x", "path=/a"])).overall_code).toBe(code);
  }
  const { raw } = open({}, faults);
  const many = { domain: "edge", descriptors: Array.from({ length: 65 }, () => ({ entries: [] })) };
  for (const bytes of [undefined, Buffer.from([0xff]), RATE_LIMIT_METHOD.requestSerialize(many)])
    expect((await raw(bytes)).overall_code).toBe(code);
});

test("while too many descriptors wait for the store, only those that need it fail", async () => {
  const { ask } = open({
    limits: { take: () => new Promise(() => undefined), peek: () => expect.unreachable() },
  });
  const many = Array.from({ length: 64 }, (_, value) => `path=${value}`);
  const waiting = Array.from({ length: 512 }, () => ask(many));
  const { statuses } = await ask(["trial=x", "free=x", "unknown=x", "path=x"]);
  expect(statuses.map(({ code }) => code)).toEqual([OK, OK, OK, OVER_LIMIT]);
  await Promise.all(waiting);
});

test("a store that responds at once is in time for Envoy's default timeout of 20 ms", async () => {
  const take = () => Promise.resolve({ ok: true, rates: [] } as const);
  const { codes, results } = open({ limits: { take, peek: take } }, "local", 20);
  expect(await codes(["path=/a"])).toBe("OK OK");
  expect(results).toEqual(["edge ok"]);
});

test("any bytes get a response", async () => {
  const { raw } = open();
  const texts = fc.string({ unit: "binary", maxLength: 5 });
  const request = fc.record({
    domain: fc.constantFrom("edge", "x"),
    hits_addend: fc.nat(),
    descriptors: fc.array(
      fc.record({ entries: fc.array(fc.record({ key: fc.constantFrom("path", "a", "b"), value: texts })) }),
    ),
  });
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.tuple(request, fc.nat(40), fc.nat(255)).map(([value, at, byte]) => {
      const encoded = Buffer.from(RATE_LIMIT_METHOD.requestSerialize(value));
      if (at < encoded.length) encoded[at] = byte;
      return encoded;
    }),
  );
  await fc.assert(
    fc.asyncProperty(bytes, async (message) => {
      expect([OK, OVER_LIMIT]).toContain((await raw(message)).overall_code);
    }),
    { numRuns: 500 },
  );
});
