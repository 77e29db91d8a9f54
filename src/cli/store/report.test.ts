import { expect, test } from "vitest";
import type { ComparedKind } from "../../core/copy/copy.ts";
import { formatReport, isComplete } from "./report.ts";

const side = { rows: 1, digest: "0" };

const none = { escaped: [] };

function kind(name: string, missing: number, countsChecks: boolean): ComparedKind {
  return { name, source: side, target: side, missing, countsChecks };
}

test("a copy is complete although Checks have counted since; a comparison says what is missing", () => {
  const copied = [{ name: "keys", read: 1, written: 1, conflicts: [] }];
  const counted = [kind("keys", 0, false), kind("usage", 1, true)];
  expect(isComplete({ ...none, copied, compared: counted })).toBe(true);
  expect(formatReport({ ...none, copied, compared: counted })).toContain(
    "except for what Checks have counted",
  );
  expect(isComplete({ ...none, compared: counted })).toBe(false);
  expect(isComplete({ ...none, copied, compared: [kind("keys", 1, false), kind("usage", 1, true)] })).toBe(
    false,
  );
  expect(isComplete({ ...none, compared: [kind("keys", 0, false), kind("usage", 0, true)] })).toBe(true);
});

test("a key that has escaped a revocation fails the copy, and the report says what to revoke", () => {
  const escaped = [
    { keyId: "k1", cutOff: { scope: "owner", subject: "acme" } },
    { keyId: "k2", cutOff: { scope: "all", subject: "" } },
  ] as const;
  const report = { compared: [kind("keys", 0, false)], escaped };
  expect(isComplete(report)).toBe(false);
  expect(formatReport(report)).toMatch(/^k1 is valid .* revoke the owner acme again, in the target$/m);
  expect(formatReport(report)).toMatch(/^k2 is valid .* revoke all keys again, in the target$/m);
});

test("a V1 key that is revoked in the source and has another id in the target fails the copy", () => {
  const reportOf = (isRevoked: boolean) => {
    const conflicts = [{ keyId: "k1", isRevoked }];
    return {
      ...none,
      copied: [{ name: "keys", read: 1, written: 0, conflicts }],
      compared: [kind("keys", 0, false)],
    };
  };
  expect(isComplete(reportOf(true))).toBe(false);
  expect(formatReport(reportOf(true))).toMatch(
    /^k1 is revoked in the source, .* may be valid there; revoke that one$/m,
  );
  expect(formatReport(reportOf(false))).toMatch(/^k1 was not copied: .* revoke one of them$/m);
});
