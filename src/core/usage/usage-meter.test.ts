import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { PUBLIC_ALLOW } from "../../../test/support/responses.ts";
import type { Decision, Reason } from "../decision/decision.ts";
import { deny } from "../decision/decision.ts";
import type { Principal } from "../decision/principal.ts";
import type { Route } from "../policy/route-table.ts";
import { MAX_ROUTES, mergeUsage } from "./usage-amount.ts";
import type { UsageMeterOptions } from "./usage-meter.ts";
import { createUsageMeter } from "./usage-meter.ts";

function principalOf(family: string, more: Partial<Principal> = {}): Principal {
  const times = { issuedAt: 0, expiresAt: 1, refreshAfter: 1 };
  return { keyId: "k", family, role: "basic", scopes: [], name: "", ...times, ...more };
}

function routeOf(label: string, cost = 1): Route {
  // The meter reads nothing else of a route.
  return { label, cost } as Route;
}

function allow(principal?: Principal, route = routeOf("/a")): Decision {
  return { ...PUBLIC_ALLOW, route, ...(principal !== undefined && { principal }) };
}

const denied = (reason: Exclude<Reason, "allowed">, family: string) =>
  deny(reason, { principal: principalOf(family), route: routeOf("/a") });

function meterWith(options: Partial<UsageMeterOptions> = {}) {
  const drops: string[] = [];
  const meter = createUsageMeter({
    isStopped: () => false,
    onDropped: (why) => void drops.push(why),
    ...options,
  });
  return { meter, drops };
}

test("counts requests by their outcome, and costs of allowed ones", () => {
  const { meter } = meterWith();
  meter.count(allow(principalOf("f", { owner: "acme" }), routeOf("/a", 5)), "enforce");
  for (const reason of ["rate_limited", "scope_missing", "limits_unavailable"] as const)
    meter.count(denied(reason, "f"), "enforce");
  meter.count(deny("route_unknown", { principal: principalOf("f") }), "enforce");
  const requests = { allowed: 1, denied: 3, limited: 1 };
  const taken = meter.take();
  expect([...taken.keys()]).toEqual(["f"]);
  const { units, routes, ...amount } = taken.get("f")?.amount() ?? expect.unreachable();
  expect(amount).toEqual({ owner: "acme", requests, cost: 5 });
  expect([...units]).toEqual([]);
  // A request without a route belongs to none.
  expect([...routes]).toEqual([["/a", { ...requests, denied: 2 }]]);
  expect(meter.take().size).toBe(0);
});

test("without a principal, or in shadow mode, nothing is counted", () => {
  const { meter, drops } = meterWith();
  for (let at = 0; at < 1000; at++) {
    meter.count(allow(), "enforce");
    meter.count(deny("credential_invalid"), "enforce");
    meter.count(allow(principalOf(`f${at}`)), "shadow");
  }
  expect([meter.take().size, drops]).toEqual([0, []]);
});

test("the families of other issuers do not displace our own, and dropped requests are reported", () => {
  const { meter, drops } = meterWith({ maxFamilies: 3, maxForeignFamilies: 2 });
  for (let at = 0; at < 5; at++) meter.count(allow(principalOf(`corp:${at}`, { issuer: "corp" })), "enforce");
  for (const family of ["f1", "f1", "f2"]) meter.count(allow(principalOf(family)), "enforce");
  expect([...meter.take().keys()]).toEqual(["corp:0", "corp:1", "f1"]);
  expect(drops).toEqual(Array.from({ length: 4 }, () => "too_many"));
  meter.count(allow(principalOf("corp:9", { issuer: "corp" })), "enforce");
  expect([...meter.take().keys()]).toEqual(["corp:9"]);
});

test("our own families take no place of those of other issuers", () => {
  const { meter, drops } = meterWith({ maxFamilies: 4, maxForeignFamilies: 2 });
  for (const family of ["f1", "f2"]) meter.count(allow(principalOf(family)), "enforce");
  for (const family of ["corp:1", "corp:2"])
    meter.count(allow(principalOf(family, { issuer: "corp" })), "enforce");
  expect([meter.take().size, drops]).toEqual([4, []]);
});

test("a family has at most 20 routes, in memory and in sums", () => {
  const { meter } = meterWith();
  for (let at = 0; at < 30; at++) meter.count(allow(principalOf("f"), routeOf(`/first/${at}`)), "enforce");
  const first = meter.take().get("f")?.amount() ?? expect.unreachable();
  for (let at = 0; at < 30; at++) meter.count(allow(principalOf("f"), routeOf(`/second/${at}`)), "enforce");
  const sum = mergeUsage(first, meter.take().get("f")?.amount() ?? expect.unreachable());
  expect(sum.routes.size).toBe(MAX_ROUTES + 1);
  expect(sum.routes.get("other")?.allowed).toBe(40);
  expect(sum.requests.allowed).toBe(60);
});

test("charges are sums by unit, without a request", () => {
  const { meter } = meterWith();
  for (const amount of [5, 7]) meter.charge(principalOf("f"), "llm_tokens", amount);
  const { requests, units } = meter.take().get("f")?.amount() ?? expect.unreachable();
  expect([requests.allowed, [...units]]).toEqual([0, [["llm_tokens", 12]]]);
});

test("a stopped meter counts nothing new, and reports it", () => {
  const { meter, drops } = meterWith({ isStopped: () => true });
  meter.count(allow(principalOf("f")), "enforce");
  meter.charge(principalOf("f"), "llm_tokens", 5);
  expect([meter.take().size, drops]).toEqual([0, ["stopped", "stopped"]]);
});

test("what was taken is counted no further, and released counts are not kept by their key", () => {
  const { meter } = meterWith();
  const key = principalOf("f");
  meter.count(allow(key), "enforce");
  const taken = meter.take();
  meter.count(allow(key), "enforce");
  for (const counts of taken.values()) counts.release();
  meter.count(allow(key), "enforce");
  expect([...taken.values()].map((counts) => counts.amount().requests.allowed)).toEqual([1]);
  const present = meter.take();
  expect([...present.values()].map((counts) => counts.amount().requests.allowed)).toEqual([2]);
  for (const counts of present.values()) counts.release();
  expect(key.counts).toBeUndefined();
});

test("two keys of one family, and one key at two meters, are counted where they belong", () => {
  const [{ meter }, { meter: other }] = [meterWith(), meterWith()];
  const [old, refreshed] = [principalOf("f"), principalOf("f", { keyId: "k2" })];
  for (const key of [old, refreshed, old, refreshed]) meter.count(allow(key), "enforce");
  other.count(allow(old), "enforce");
  for (const key of [old, refreshed]) meter.count(allow(key), "enforce");
  const allowedBy = (one: typeof meter) => one.take().get("f")?.amount().requests.allowed;
  expect([allowedBy(meter), allowedBy(other)]).toEqual([6, 1]);
});

test("100,000 families of one route take less than 15 MB", () => {
  const fill = `
    import { createUsageMeter } from ${JSON.stringify(new URL("usage-meter.ts", import.meta.url))};
    const meter = createUsageMeter({ isStopped: () => false, onDropped: () => { throw new Error("dropped"); } });
    const used = () => { gc(); gc(); return process.memoryUsage().heapUsed; };
    const keys = Array.from({ length: 100_000 }, (_, at) => ({ family: "fam_" + String(at).padStart(22, "x"), counts: undefined }));
    const route = { label: "/a", cost: 1 };
    const before = used();
    for (const principal of keys) meter.count({ verdict: "allow", reason: "allowed", principal, route }, "enforce");
    console.log(used() - before, keys.length, meter.take().size);
  `;
  const args = ["--expose-gc", "--input-type=module", "--eval", fill];
  const [bytes = "", , families] = execFileSync(process.execPath, args, { encoding: "utf8" })
    .trim()
    .split(" ");
  expect(families).toBe("100000");
  expect(Number(bytes)).toBeLessThan(15_000_000);
});
