import { expect, test } from "vitest";
import { auditQuery } from "./audit-schemas.ts";

test("a range of audit events is exact to the millisecond, as their times are", () => {
  const range = { from: "2027-01-15T12:00:00.200Z", to: "2027-01-15T12:00:00.800Z" };
  expect(auditQuery.parse(range)).toEqual({ from: Date.parse(range.from), to: Date.parse(range.to) });
  expect(auditQuery.parse({ from: "2027-01-15" }).from).toBe(Date.parse("2027-01-15T00:00:00Z"));
});
