import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import { BUILT_IN_POLICY_FILE } from "../policy/file.ts";
import type { Fleet } from "./ports.ts";
import { createReadiness } from "./readiness.ts";

const policy = parsedPolicy(readFileSync(BUILT_IN_POLICY_FILE, "utf8"));

const HEALTHY: Fleet = {
  stalenessMs: () => 0,
  suspectLoss: () => undefined,
  compare: async () => undefined,
  differsFromFleet: () => false,
  clockAheadMs: () => 0,
  instances: () => [],
};

function ready(fleet: Partial<Fleet> = {}) {
  const readiness = createReadiness(() => policy);
  readiness.onStores({ fleet: { ...HEALTHY, ...fleet }, place: () => undefined });
  readiness.onServing();
  return readiness;
}

test("an instance is ready only when it serves and every component is ready", () => {
  const starting = createReadiness(() => policy);
  expect(starting.states()).toMatchObject({ instance: "starting", revocations: "not_ready" });
  starting.onWaiting();
  expect(starting.states()).toMatchObject({ instance: "waiting" });
  expect(starting.isReady()).toBe(false);
  expect(ready().isReady()).toBe(true);
  expect(ready({ differsFromFleet: () => true }).states()).toMatchObject({ secrets: "not_ready" });
  expect(ready({ clockAheadMs: () => -5000 }).states()).toMatchObject({ clock: "not_ready" });
  const unreachable = ready();
  unreachable.onListening(() => false);
  expect(unreachable.states()).toMatchObject({ instance: "not_ready" });
});

test("an instance that drains stays draining, even if its start completes later", () => {
  const readiness = createReadiness(() => policy);
  readiness.onDrain();
  readiness.onWaiting();
  readiness.onServing();
  expect(readiness.states()).toMatchObject({ instance: "draining" });
  expect([readiness.isDraining(), readiness.isReady()]).toEqual([true, false]);
});
