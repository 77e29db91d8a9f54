import { expect, test } from "vitest";
import { checkMethod } from "./method.ts";

test("a Check that cannot be received is decided as well: Envoy might let its request through after a gRPC error", () => {
  const denial = Uint8Array.of(1);
  const { path, handle, handlesInvalid } = checkMethod((message) => message ?? denial);
  expect([path, handlesInvalid]).toEqual(["/envoy.service.auth.v3.Authorization/Check", true]);
  expect(handle(undefined, 1000)).toBe(denial);
});
