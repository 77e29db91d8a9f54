import { describe, expect, test } from "vitest";
import { newCounter } from "../quotas/quota-counter.ts";
import { mergeQuotaRow, quotaEndSeconds, quotaRow } from "./quota-row.ts";

const AUGUST = Date.parse("2027-08-01T00:00:00Z");
const row = (used: number, windowMs = AUGUST) => ({ counterId: "c", windowMs, used, limit: 10 });

describe("the row of a counter", () => {
  test("has the units of its window, with those of open leases", () => {
    const leases = new Map([["l", { units: 3, deadlineUs: 1 }]]);
    const counter = { ...newCounter(), windowMs: 0, used: 5, limit: 10, leases };
    expect(quotaRow("c", counter)).toEqual({ counterId: "c", windowMs: 0, used: 8, limit: 10 });
  });

  test("does not exist before it has counted anything", () => {
    expect(quotaRow("c", newCounter())).toBeUndefined();
  });
});

describe("the target takes the counter of the source", () => {
  test.each([
    ["if it has none", row(5), undefined, row(5)],
    ["if its window is later", row(1), row(9, AUGUST - 1), row(1)],
    ["if it has counted more in the same window", row(6), row(5), row(6)],
    ["not if it has counted as much", row(5), row(5), undefined],
    ["not if it has counted less", row(4), row(5), undefined],
    ["not if its window is earlier", row(9, AUGUST - 1), row(1), undefined],
  ])("%s", (_, source, stored, merged) => {
    expect(mergeQuotaRow(source, stored)).toEqual(merged);
  });
});

test("a counter has an effect for a day after the longest month, whatever its window", () => {
  const end = quotaEndSeconds(row(1));
  expect(end).toBeGreaterThanOrEqual(Date.parse("2027-09-02T00:00:00Z") / 1000);
  expect(end).toBe(AUGUST / 1000 + 33 * 86_400);
  expect(quotaEndSeconds(row(1, AUGUST + 999))).toBe(end);
});
