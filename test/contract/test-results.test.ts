import { expect, test } from "vitest";
import { unpassed } from "../../scripts/test-results.ts";

test("a run names each test that failed, and each file whose process exited before its tests ended", () => {
  const result = (fullName: string, status: string) => ({ fullName, status });
  const passed = { name: "a.test.ts", assertionResults: [result("one", "passed"), result("two", "skipped")] };
  const failed = {
    name: "b.test.ts",
    assertionResults: [result("three", "failed"), result("four", "passed")],
  };
  const exited = [result("five", "passed"), result("six", "pending"), result("seven", "pending")];
  const testResults = [passed, failed, { name: "c.test.ts", assertionResults: exited }];
  expect(unpassed({ testResults })).toEqual([
    "failed: b.test.ts: three",
    "not ended, the process exited: c.test.ts: six, and 1 more",
  ]);
});
