import { expect, test } from "vitest";
import { StoreUnavailable } from "./store-unavailable.ts";

test("a store that may recover by itself names no setting", () => {
  const cause = new Error("ECONNREFUSED");
  const error = new StoreUnavailable("the store does not respond", { cause });
  expect([error.message, error.cause]).toEqual(["the store does not respond", cause]);
  expect(error.rejectedSetting).toBeUndefined();
});

test("a store that rejects a setting names it", () => {
  const rejectedSetting = "check REDIS_PASSWORD";
  const error = new StoreUnavailable("no access", { rejectedSetting, cause: undefined });
  expect(error.rejectedSetting).toBe(rejectedSetting);
});
