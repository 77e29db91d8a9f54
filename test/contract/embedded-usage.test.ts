import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { deny } from "../../src/core/decision/decision.ts";
import type { Route } from "../../src/core/policy/route-table.ts";
import { createPoster } from "../../src/core/postings/poster.ts";
import { mergeUsage } from "../../src/core/usage/usage-amount.ts";
import { createUsageMeter } from "../../src/core/usage/usage-meter.ts";
import { dayOfHour, hourAt } from "../../src/core/usage/usage-time.ts";
import { openThreadedStore } from "../../src/sqlite/threaded-store.ts";
import "../support/compiled-threads.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { principalOf } from "../support/charging.ts";

const RETENTION = { hoursSeconds: 86_400, daysSeconds: 86_400 };

test("what an instance meters arrives in the database, with its units and routes", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "latchkey-usage-"));
  removeAtEnd(dataDir);
  const options = { dataDir, recordRetentionSeconds: 1, acceptEmptyRegistry: false, instanceId: "i" };
  const store = await openThreadedStore({ ...options, usageRetention: RETENTION }, Date.now);
  const meter = createUsageMeter({ isStopped: () => false, onDropped: () => expect.fail("it was dropped") });
  const poster = createPoster({
    store: store.usage,
    merge: mergeUsage,
    monotonicMs: () => 0,
    scopeOf: dayOfHour,
  });
  const principal = principalOf("f", { owner: "acme" });
  const hour = hourAt(Date.now());
  // The meter reads nothing else of a route.
  const route = { label: "/a", cost: 1 } as Route;
  for (let turn = 0; turn < 2; turn++) {
    meter.count(deny("rate_limited", { principal, route }), "enforce");
    meter.charge(principal, "tokens", 5);
    for (const [family, counts] of meter.take()) poster.add(family, hour, counts.amount());
  }
  await poster.post();
  const [requests, units] = [{ allowed: 0, denied: 0, limited: 2 }, new Map([["tokens", 10]])];
  expect(await store.usage.hours("f", { from: hour, to: hour + 1 })).toMatchObject([{ requests, units }]);
  const day = dayOfHour(hour);
  const days = await store.usage.days("f", { from: day, to: day + 1 });
  expect(days).toMatchObject([{ requests, units, routes: new Map([["/a", requests]]) }]);
  await store.close();
});
