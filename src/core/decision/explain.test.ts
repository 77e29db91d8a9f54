import { describe, expect, test } from "vitest";
import { quotaDemand } from "../../../test/support/quota-demand.ts";
import { PUBLIC_ALLOW } from "../../../test/support/responses.ts";
import { PLAIN_ROUTE } from "../../../test/support/route.ts";
import type { BucketDemand, BucketLevel, QuotaLevel } from "../limits/ports.ts";
import type { Decision } from "./decision.ts";
import { deny } from "./decision.ts";
import type { DescribedRequest } from "./described-request.ts";
import { createExplain, readOnlyLimits, readOnlyLook, UNCOUNTED_FAILURES } from "./explain.ts";

const NOW_MS = Date.UTC(2026, 10, 30, 12);
const route = { ...PLAIN_ROUTE, pattern: "/a", label: "items", mode: "shadow" } as const;

describe("an explanation", () => {
  const policy = { mode: "enforce", credentialSources: ["x-api-key"], pathParams: "reject" } as const;
  const explained = (described: DescribedRequest, decision?: Decision) =>
    createExplain({
      policy: () => policy,
      nowMs: () => NOW_MS,
      authorize(request, nowMs, trace) {
        expect([request.headers.get("x-api-key"), nowMs]).toEqual([["secret"], NOW_MS]);
        trace?.("credential", "one key, in x-api-key", "to be verified");
        return decision ?? expect.unreachable("no decision on a malformed request");
      },
    })(described);
  const GET_A = { method: "GET", path: "/a", key: "secret" };

  test("of an allowed request has the steps of the decision, and the mode of the route", async () => {
    expect(await explained(GET_A, { ...PUBLIC_ALLOW, route })).toEqual({
      verdict: "allow",
      reason: "allowed",
      status: 200,
      mode: "shadow",
      route: "items",
      steps: [{ step: "credential", observed: "one key, in x-api-key", outcome: "to be verified" }],
    });
  });

  test("of a denial has the status of its reason, and without a route the mode of the policy", async () => {
    const explanation = await explained(GET_A, deny("scope_missing"));
    expect(explanation).toMatchObject({
      verdict: "deny",
      reason: "scope_missing",
      status: 403,
      mode: "enforce",
    });
    expect(explanation).not.toHaveProperty("route");
    expect(await explained(GET_A, deny("rate_limited", { route }))).toMatchObject({
      status: 429,
      route: "items",
    });
  });

  test.each([
    [{ path: "/a/../b?api_key=secret" }, "GET /a/../b: dot segment"],
    [{ host: "a:80:80" }, "GET /a: host malformed"],
  ])("of %j names the fault, and shows no query", async (more, observed) => {
    expect(await explained({ ...GET_A, ...more })).toEqual({
      verdict: "deny",
      reason: "request_malformed",
      status: 400,
      mode: "enforce",
      steps: [{ step: "request", observed, outcome: "request_malformed" }],
    });
  });
});

/** A bucket of 10 that gets one token in two seconds. */
function bucketOf(tokens: number, name = "burst"): BucketLevel {
  const limit = { name, per: "key", leased: true, capacity: 10, refillPerSecond: 0.5 } as const;
  return { limit, tokens, leasedTokens: 0 };
}

/** A quota of 50 in a window that ends in as many seconds. */
function quotaOf(
  usedUnits: number,
  more: Partial<QuotaLevel> & { name?: string; unit?: string } = {},
): QuotaLevel {
  const { name = "daily", unit = "requests", ...level } = more;
  const demand = quotaDemand({ name, unit });
  return { demand, limitUnits: 50, usedUnits, leasedUnits: 0, resetsAtMs: NOW_MS + 90_000, ...level };
}

/** Stores with these levels, and what they are asked for. They have no call that changes a level. */
function storesOf(levels: readonly BucketLevel[], counters: readonly QuotaLevel[]) {
  const asked: unknown[] = [];
  const reset = () => expect.unreachable("an explanation changes nothing");
  const answering =
    <Level>(answer: readonly Level[]) =>
    async (...call: readonly unknown[]) => {
      asked.push(call);
      return answer;
    };
  return {
    asked,
    buckets: { levels: answering(levels), reset },
    quotas: { levels: answering(counters), reset, uses: reset },
  };
}

describe("limits that are only read", () => {
  const take = (
    levels: readonly BucketLevel[],
    counters: readonly QuotaLevel[],
    { cost = 3, reserve = 0 } = {},
  ) => {
    const { buckets, quotas } = storesOf(levels, counters);
    return readOnlyLimits(buckets, quotas).take([], cost, NOW_MS, [], reserve);
  };
  const burst = (remaining: number) => ({ name: "burst", capacity: 10, windowSeconds: 20, remaining });
  const daily = (remaining: number, name = "daily") => ({
    ...{ name, capacity: 50, windowSeconds: 86_400, remaining, resetSeconds: 43_200 },
  });

  test("ask the stores for the request's own buckets and quotas", async () => {
    const { asked, buckets, quotas } = storesOf([], []);
    const limits = readOnlyLimits(buckets, quotas);
    const bucket: BucketDemand = { bucketId: "b", limit: bucketOf(1).limit };
    expect(await limits.take([bucket], 1, NOW_MS)).toEqual({ ok: true, rates: [] });
    expect(await limits.take([bucket], 1, NOW_MS, [quotaDemand()])).toEqual({ ok: true, rates: [] });
    expect(asked).toEqual([[[bucket], NOW_MS], [[]], [[bucket], NOW_MS], [[quotaDemand()]]]);
  });

  test("admit what is left, and report the levels before the request", async () => {
    expect(await take([bucketOf(3.9)], [quotaOf(47)])).toEqual({ ok: true, rates: [burst(3), daily(3)] });
  });

  test("deny a cost above a bucket until the slowest one is refilled", async () => {
    expect(await take([bucketOf(10), bucketOf(0.9), bucketOf(2.5)], [])).toMatchObject({
      ok: false,
      reason: "rate_limited",
      retryAfterSeconds: 5,
      rates: [burst(10), burst(0), burst(2)],
    });
  });

  test("deny a cost above a quota until its window ends", async () => {
    expect(await take([bucketOf(3)], [quotaOf(48)])).toEqual({
      ok: false,
      reason: "quota_exceeded",
      retryAfterSeconds: 90,
      rates: [burst(3), daily(2)],
      quota: { name: "daily", limit: 50, resetsAtMs: NOW_MS + 90_000 },
    });
  });

  test("name the quota with the longest wait, and the wait for the slowest bucket if that is longer", async () => {
    const soon = quotaOf(50, { name: "hourly", resetsAtMs: NOW_MS + 1 });
    const later = quotaOf(50, { name: "monthly", resetsAtMs: NOW_MS + 1001 });
    for (const counters of [
      [soon, later],
      [later, soon],
    ])
      expect(await take([], counters)).toMatchObject({ quota: { name: "monthly" }, retryAfterSeconds: 2 });
    expect(await take([bucketOf(0)], [soon])).toMatchObject({
      quota: { name: "hourly" },
      retryAfterSeconds: 6,
    });
  });

  test("a wait is at least a second, also at the end of the window", async () => {
    expect(await take([], [quotaOf(50, { resetsAtMs: NOW_MS })])).toMatchObject({ retryAfterSeconds: 1 });
  });

  test("units that instances have leased may still be spent, but are not free", async () => {
    expect(await take([], [quotaOf(40, { leasedUnits: 10 })])).toEqual({ ok: true, rates: [daily(0)] });
    expect(await take([], [quotaOf(48, { leasedUnits: 2 })])).toMatchObject({ ok: false, rates: [daily(0)] });
  });

  test("a quota of another unit is compared with what the route reserves, not with its cost", async () => {
    const tokens = quotaOf(46, { unit: "tokens" });
    expect(await take([], [tokens], { cost: 5, reserve: 4 })).toMatchObject({ ok: true });
    expect(await take([], [tokens], { cost: 1, reserve: 5 })).toMatchObject({ reason: "quota_exceeded" });
  });

  test("a request that costs nothing is admitted, also by a quota that is overdrawn", async () => {
    const overdrawn = quotaOf(60);
    expect(await take([bucketOf(0)], [overdrawn], { cost: 0 })).toEqual({
      ok: true,
      rates: [burst(0), daily(0)],
    });
  });
});

describe("quotas that are charged later", () => {
  const look = (...counters: readonly QuotaLevel[]) => {
    const { quotas } = storesOf([], counters);
    return readOnlyLook(quotas).look([], NOW_MS);
  };
  const left = (remaining: number) => expect.objectContaining({ name: "daily", remaining });

  test("admit while one unit is not used, wherever that unit is", async () => {
    expect(await look(quotaOf(49))).toEqual({ ok: true, rates: [left(1)] });
    expect(await look(quotaOf(49, { leasedUnits: 1 }))).toEqual({ ok: true, rates: [left(0)] });
    expect(await look()).toEqual({ ok: true, rates: [] });
  });

  test("deny once one of them is used up, until its window ends", async () => {
    expect(await look(quotaOf(0), quotaOf(50))).toEqual({
      ok: false,
      reason: "quota_exceeded",
      retryAfterSeconds: 90,
      rates: [left(50), left(0)],
      quota: { name: "daily", limit: 50, resetsAtMs: NOW_MS + 90_000 },
    });
  });

  test("ask the store for the request's own quotas", async () => {
    const { asked, quotas } = storesOf([], []);
    const demands = [quotaDemand()];
    await readOnlyLook(quotas).look(demands, NOW_MS);
    expect(asked).toEqual([[demands]]);
  });
});

test("an explanation counts no failed credential", async () => {
  expect(await UNCOUNTED_FAILURES.take([], 1, NOW_MS)).toEqual({ ok: true, rates: [] });
});
