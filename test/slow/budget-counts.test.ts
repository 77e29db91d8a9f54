import { afterAll, beforeAll, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import type { ClusterSetup } from "../support/cluster.ts";
import { startCluster } from "../support/cluster.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runHere } from "../support/program.ts";
import { BUDGETS_POLICY, sampleBudgets } from "../support/sample-budgets.ts";

const ADMIN_TOKEN = newSecret();
let cluster: ClusterSetup;
let latchkey: TestedLatchkey;
let client: LatchkeyClient;

beforeAll(async () => {
  cluster = await startCluster();
  const env = {
    JWT_SECRET: newSecret(),
    ADMIN_TOKEN,
    REDIS_URL: cluster.url,
  };
  latchkey = await startLatchkey(env, { policy: BUDGETS_POLICY });
  client = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  await sampleBudgets({ latchkey, client });
}, 120_000);
afterAll(async () => {
  await latchkey?.stop();
  await cluster?.stop();
});

const run = (...args: readonly string[]) =>
  runHere(args, { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN });

test("on a Cluster, the counters of every node are listed, those nearest to their end first", async () => {
  await expect
    .poll(async () => (await client.limits.near()).quotas.map(({ subject, percent }) => [subject, percent]))
    .toEqual([
      ["initech", 100],
      ["acme", 94],
      [expect.stringMatching(/^fam_/), 85],
      ["umbrella/eu-west", 81],
    ]);
  const { quotas, total, counters_read, complete } = await client.limits.near({ above: 90, limit: 1 });
  expect(quotas.map(({ name, per, limit, unit }) => [name, per, limit, unit])).toEqual([
    ["daily", "owner", 100, "requests"],
  ]);
  expect([total, counters_read, complete]).toEqual([2, 6, true]);
  expect((await client.limits.near({ mode: "shadow", above: 50 })).total).toBe(0);
  const { status, stdout } = await run("limits", "near", "--above", "90");
  expect([status, stdout]).toEqual([0, expect.stringMatching(/initech\s+daily\s+100%\s+100 of 100/)]);
});

test("on a Cluster, the largest usage is exact, whatever nodes its families lie on", async () => {
  const { top, families_read } = await client.usage.top({ by: "cost", days: "1" });
  expect(top.map(({ name, cost }) => [name, cost])).toEqual([
    ["globex", 264],
    [expect.stringMatching(/^fam_/), 170],
    ["initech", 100],
    ["acme", 94],
    ["umbrella/eu-west", 81],
    ["hooli", 45],
  ]);
  expect(families_read).toBe(6);
  const { status, stdout } = await run("usage", "top", "--of", "route", "--days", "1");
  expect([status, stdout]).toEqual([0, expect.stringMatching(/\/v1\/search\/\*\*\s+\d+/)]);
});

test("on a Cluster, the keys of each plan are counted, also of plans that the policy does not have", async () => {
  const { plans, keys_read } = await client.policy.planKeys();
  expect(plans).toEqual([
    { name: "starter", known: true, keys: 3 },
    { name: "pro", known: true, keys: 2 },
    { name: "batch", known: true, keys: 1 },
  ]);
  expect(keys_read).toBe(6);
  const { status, stdout } = await run("limits", "plans", "--keys");
  expect([status, stdout]).toEqual([0, expect.stringContaining("starter: 3 keys")]);
});

test("many callers at once cause one count", async () => {
  const counts = await Promise.all(Array.from({ length: 50 }, () => client.usage.top({ days: "30" })));
  expect(new Set(counts.map(({ as_of }) => as_of)).size).toBe(1);
  expect(counts.every(({ complete }) => complete)).toBe(true);
});
