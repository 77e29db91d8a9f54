import { expect, test } from "vitest";
import type { LimitList, RateLimit } from "../policy/policy.ts";
import { bucketDemands } from "./bucket-demands.ts";

const limitOf = (per: RateLimit["per"]): RateLimit => {
  return { name: `by-${per}`, per, capacity: 1, refillPerSecond: 1, leased: true };
};
const limits: LimitList = {
  bucketPrefix: "role/plan",
  rateLimits: [limitOf("key"), limitOf("owner"), limitOf("role"), limitOf("address")],
  quotas: [],
};
const key = { family: "fam", owner: "own", role: "role" };

test("an id is joined from its parts, and shadow mode has other ids", () => {
  const ids = ["role/plan:by-key:fam", "role/plan:by-owner:own", "role/plan:by-role:role"];
  for (const mode of ["enforce", "shadow"] as const) {
    const demands = bucketDemands(limits, key, () => "192.0.2.1", mode).slice(0, 3);
    const prefix = mode === "shadow" ? "shadow:" : "";
    expect(demands.map(({ bucketId }) => bucketId)).toEqual(ids.map((id) => prefix + id));
    for (const { bucketId, scope, subject } of demands) expect(`${scope}${subject}`).toBe(bucketId);
  }
});

test("an address is no part of its own, because it is a slice of a longer text", () => {
  const demand = bucketDemands(limits, key, () => "192.0.2.1")[3];
  expect(demand?.bucketId).toMatch(/^role\/plan:by-address:192\.0\.2\.1/);
  expect(demand?.subject).toBeUndefined();
});
