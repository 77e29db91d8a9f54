import { describe, expect, test } from "vitest";
import { PLAIN_ROUTE } from "../../../test/support/route.ts";
import type { LimitList, Quota, RateLimit } from "../policy/policy.ts";
import { createLimitDemands } from "./limit-demands.ts";

const limit: RateLimit = { name: "burst", per: "key", capacity: 10, refillPerSecond: 1, leased: true };
const quota: Quota = { name: "q", per: "key", limit: 5, every: "day", timeZone: "UTC", unit: "requests" };
const tokens: Quota = { ...quota, name: "t", unit: "tokens" };
const list = (rateLimits: readonly RateLimit[], quotas: readonly Quota[] = []): LimitList => ({
  bucketPrefix: "basic",
  rateLimits,
  quotas,
});
const key = { family: "fam_x", role: "basic" };
const noAddress = () => expect.unreachable();

test("a key demands its buckets, its quotas of requests, and charges of routes for other units", () => {
  const demands = createLimitDemands()(list([limit], [quota, tokens]), key, noAddress);
  expect(demands.buckets.map(({ bucketId }) => bucketId)).toEqual(["basic:burst:fam_x"]);
  expect(demands.quotas.map(({ counterId }) => counterId)).toEqual(["quota/key:q:fam_x"]);
  const route = { ...PLAIN_ROUTE, label: "/a", pattern: "/a" };
  expect(demands.chargesOf?.({ ...route, charges: ["tokens"] })?.looked).toMatchObject([{ quota: tokens }]);
  expect(demands.chargesOf?.(route)).toBeUndefined();
});

test("a key without quotas of other units charges nothing, and shadow mode has its own demands", () => {
  const demandsOf = createLimitDemands();
  expect(demandsOf(list([limit]), key, noAddress)).toMatchObject({ quotas: [], chargesOf: undefined });
  const shadow = demandsOf(list([limit], [quota]), key, noAddress, "shadow");
  expect(shadow.chargesOf).toBeUndefined();
  expect(shadow.buckets[0]?.bucketId).toBe("shadow:basic:burst:fam_x");
  expect(shadow.quotas[0]?.counterId).toBe("quota/shadow/key:q:fam_x");
});

describe("the demands of a key", () => {
  test("are kept from its second use on, for one list and mode", () => {
    const demandsOf = createLimitDemands();
    const limits = list([limit], [quota]);
    const [first, second] = [demandsOf(limits, key, noAddress), demandsOf(limits, key, noAddress)];
    expect(second).not.toBe(first);
    expect(demandsOf(limits, key, noAddress)).toBe(second);
    const shadow = demandsOf(limits, key, noAddress, "shadow");
    expect(shadow.quotas[0]?.mode).toBe("shadow");
    const reloaded = demandsOf(list([limit, { ...limit, name: "day" }]), key, noAddress);
    expect(reloaded.buckets).toHaveLength(2);
  });

  test("follow the client's address where a limit does", () => {
    const demandsOf = createLimitDemands();
    const limits = list([{ ...limit, per: "address" }]);
    const bucketOf = (address: string) => demandsOf(limits, key, () => address).buckets[0]?.bucketId;
    for (const address of ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"])
      expect(bucketOf(address)).toBe(`basic:burst:${address}`);
    const mixed = list([limit, { ...limit, per: "address" }]);
    const bucketsOf = (address: string) => demandsOf(mixed, key, () => address).buckets[1]?.bucketId;
    for (const address of ["192.0.2.1", "192.0.2.2"])
      expect(bucketsOf(address)).toBe(`basic:burst:${address}`);
  });
});
