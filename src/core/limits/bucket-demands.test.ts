import { expect, test } from "vitest";
import type { LimitSubject, RateLimit } from "../policy/policy.ts";
import { bucketDemands } from "./bucket-demands.ts";
import { rateStatus } from "./rate-status.ts";

const key = { family: "fam_x", owner: "acme", role: "basic" };
const limitPer = (per: LimitSubject): RateLimit => ({
  name: "burst",
  per,
  capacity: 10,
  refillPerSecond: 3,
  leased: true,
});
const listOf = (...rateLimits: readonly RateLimit[]) => ({
  bucketPrefix: "plan/team",
  rateLimits,
  quotas: [],
});
const noAddress = () => expect.unreachable();

test.each<readonly [per: LimitSubject, subject: string]>([
  ["key", "fam_x"],
  ["owner", "acme"],
  ["role", "basic"],
])("a limit per %s has a bucket of its own for each one, and does not read the address", (per, subject) => {
  const limit = limitPer(per);
  expect(bucketDemands(listOf(limit), key, noAddress)).toEqual([
    { limit, bucketId: `plan/team:burst:${subject}`, scope: "plan/team:burst:", subject },
  ]);
});

test("a family without an owner is its own owner", () => {
  const { owner: _, ...unowned } = key;
  expect(bucketDemands(listOf(limitPer("owner")), unowned, noAddress)).toMatchObject([
    { bucketId: "plan/team:burst:fam_x" },
  ]);
});

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["2001:db8::7", "2001:db8::/64"],
])("a limit per address has a bucket for the network of %s", (address, group) => {
  const limit = limitPer("address");
  // Without parts, because the address is a slice of the request.
  expect(bucketDemands(listOf(limit), key, () => address)).toEqual([
    { limit, bucketId: `plan/team:burst:${group}` },
  ]);
});

test("shadow mode has its own buckets, and every limit of the list has one", () => {
  const list = listOf(limitPer("key"), { ...limitPer("role"), name: "day" });
  const demands = bucketDemands(list, key, noAddress, "shadow");
  expect(demands.map(({ bucketId }) => bucketId)).toEqual([
    "shadow:plan/team:burst:fam_x",
    "shadow:plan/team:day:basic",
  ]);
  for (const { bucketId, scope, subject } of demands) expect(`${scope}${subject}`).toBe(bucketId);
});

test("the status of a bucket has whole tokens, and the whole seconds in which it fills", () => {
  expect(rateStatus(limitPer("key"), 7.9)).toEqual({
    name: "burst",
    capacity: 10,
    windowSeconds: 4,
    remaining: 7,
  });
});
