import { expect, test } from "vitest";
import type { AppliedOverride } from "../../../client/types.ts";
import { draftOf, toOverride } from "./override-draft.ts";

const NOW_MS = Date.UTC(2027, 4, 10, 12);
const AHEAD = "2027-06-01T00:00:00Z";
const OVER = "2027-05-10T12:00:00Z";

const override: AppliedOverride = {
  owner: "acme",
  family: null,
  plan: "pro",
  plan_known: true,
  quotas: [{ name: "monthly", limit: 100, extra: 7, extra_until: AHEAD }],
  note: "Ticket",
  version: NOW_MS,
  set_at: "2027-05-10T11:59:00Z",
  expires_at: "2027-12-31T23:59:59Z",
};

test("an override that is changed in nothing stays as it is", () => {
  expect(toOverride(draftOf(override, NOW_MS), NOW_MS)).toEqual({
    plan: "pro",
    quotas: [{ name: "monthly", limit: 100, extra: 7 }],
    note: "Ticket",
    expires_at: "2027-12-31T23:59:59.000Z",
  });
});

test.each([
  [7, AHEAD, "7"],
  [7, OVER, ""],
  // The policy lacks the quota.
  [7, null, "7"],
  [0, null, ""],
] as const)("a change keeps %i extra units until %s as %j, and grants none again", (extra, until, kept) => {
  const quotas = [{ name: "monthly", limit: 100, extra, extra_until: until }];
  expect(draftOf({ ...override, quotas }, NOW_MS).quotas).toEqual([
    { name: "monthly", limit: "100", extra: kept },
  ]);
});

test("an end on a full minute is shown without seconds", () => {
  const at = (expires_at: string) => draftOf({ ...override, expires_at }, NOW_MS).expiresAt;
  expect(at("2027-12-31T23:59:00Z")).toMatch(/T\d\d:\d\d$/);
  expect(at("2027-12-31T23:59:01Z")).toMatch(/T\d\d:\d\d:01$/);
});
