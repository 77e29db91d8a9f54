import { pino } from "pino";
import { expect, test } from "vitest";
import { RegistryFrozen } from "../core/keys/registry-frozen.ts";
import { StoreUnavailable } from "../core/store-unavailable.ts";
import { createStartWait } from "./start-wait.ts";

const log = pino({ enabled: false });

test.each([
  ["a store that does not respond", new StoreUnavailable("it does not respond", { cause: undefined })],
  ["a frozen registry", new RegistryFrozen(600)],
])("a start waits for %s", async (_, error) => {
  let reported = 0;
  const onUnavailable = async () => {
    reported++;
  };
  const { retry } = createStartWait({ log, onUnavailable });
  let attempts = 0;
  const step = async () => {
    if (attempts++ === 0) throw error;
    return "taken";
  };
  expect([await retry(step), attempts, reported]).toEqual(["taken", 2, 1]);
});

test("a start ends with an error that does not pass by itself", async () => {
  const { retry } = createStartWait({ log, onUnavailable: async () => undefined });
  const fault = new Error("a mistake");
  await expect(retry(() => Promise.reject(fault))).rejects.toBe(fault);
});
