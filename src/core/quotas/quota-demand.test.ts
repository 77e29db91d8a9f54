import { describe, expect, test } from "vitest";
import type { LimitedKey } from "../limits/limit-subject.ts";
import type { Quota } from "../policy/policy.ts";
import { createCalendars } from "./calendar.ts";
import { allQuotaDemands, chargedDemands, quotaDemands, unitLimit } from "./quota-demand.ts";

const START_MS = Date.UTC(2026, 10, 30);
const DAY_MS = 86_400_000;
const QUOTA: Quota = { name: "q", per: "key", limit: 50, every: "day", timeZone: "UTC", unit: "requests" };
const TOKENS: Quota = { ...QUOTA, name: "t", unit: "tokens" };
const KEY: LimitedKey = { family: "fam_x", owner: "acme", role: "basic" };

const calendars = createCalendars();
function demandOf(more: Partial<Quota> = {}, key = KEY) {
  const [demand] = allQuotaDemands([{ ...QUOTA, ...more }], key, calendars);
  return demand ?? expect.unreachable();
}

describe("the counter of a quota", () => {
  test("belongs to its subject and its name, so that it survives a change of the limit", () => {
    expect(demandOf()).toMatchObject({ counterId: "quota/key:q:fam_x", subject: "fam_x", mode: "enforce" });
    expect(demandOf({ per: "owner" })).toMatchObject({ counterId: "quota/owner:q:acme", subject: "acme" });
    expect(demandOf({ per: "role" })).toMatchObject({ counterId: "quota/role:q:basic", subject: "basic" });
    expect(demandOf({ limit: 60 }).counterId).toBe(demandOf().counterId);
  });

  test("is another one in shadow mode, for every kind of unit", () => {
    const quotas = [QUOTA, TOKENS];
    const idsOf = (mode?: "shadow") =>
      [quotaDemands, chargedDemands, allQuotaDemands].map((find) =>
        find(quotas, KEY, calendars, mode).map(({ counterId, mode: of }) => [counterId, of]),
      );
    const [requests, tokens] = [
      ["quota/key:q:fam_x", "enforce"],
      ["quota/key:t:fam_x", "enforce"],
    ];
    expect(idsOf()).toEqual([[requests], [tokens], [requests, tokens]]);
    const [shadowRequests, shadowTokens] = [
      ["quota/shadow/key:q:fam_x", "shadow"],
      ["quota/shadow/key:t:fam_x", "shadow"],
    ];
    expect(idsOf("shadow")).toEqual([[shadowRequests], [shadowTokens], [shadowRequests, shadowTokens]]);
  });
});

test("leases are held for one counter and limit, whatever the subject is", () => {
  const extra = { units: 5, atMs: START_MS };
  const demands = [
    demandOf(),
    demandOf({ limit: 60 }),
    demandOf({ limit: 501, extra }),
    demandOf({ limit: 50, extra: { ...extra, units: 15 } }),
    demandOf({ extra }),
    demandOf({ extra: { ...extra, units: 6 } }),
    demandOf({ extra: { ...extra, atMs: START_MS + DAY_MS } }),
    demandOf({}, { ...KEY, family: "fam_y" }),
    demandOf({}, { ...KEY, family: `5 ${START_MS} quota/key:q:fam_x` }),
  ];
  expect(new Set(demands.map(({ holderId }) => holderId)).size).toBe(demands.length);
  expect(demandOf({ extra: { ...extra, atMs: START_MS + 1 } }).holderId).toBe(demandOf({ extra }).holderId);
});

test("units on top of the limit are admitted in the window that contains their time, and in no other one", () => {
  const demand = demandOf({ extra: { units: 5, atMs: START_MS + 1000 } });
  expect(demand.extra).toEqual({ units: 5, windowMs: START_MS });
  const limits = [-1, 0, DAY_MS - 1, DAY_MS].map((afterMs) => unitLimit(demand, START_MS + afterMs));
  expect(limits).toEqual([50, 55, 55, 50]);
  expect(unitLimit(demandOf(), START_MS)).toBe(50);
});
