import { afterAll, beforeAll, expect, test } from "vitest";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { snapshot } from "../../src/redis/snapshot.ts";
import { scanNames } from "../../src/redis/spread-client.ts";
import type { FaultRelay } from "../support/fault-relay.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis, urlBy } from "../support/redis.ts";

/** Some pages. Each server puts the members of a set in an order of its own. */
const ENTRIES = 10_000;

let servers: readonly TestedRedis[];
let relay: FaultRelay;
let client: RedisClient;

beforeAll(async () => {
  servers = await Promise.all([startRedis(), startRedis()]);
  relay = await startFaultRelay(servers[0]?.port ?? 0);
  client = await connectRedis({ url: urlBy(relay.port), commandTimeoutMs: 5000 });
  const fields = Array.from({ length: ENTRIES }, (_, at) => [`owner:o${at}`, `1 ${Number.MAX_SAFE_INTEGER}`]);
  const families = Array.from({ length: ENTRIES }, (_, at) => [Number.MAX_SAFE_INTEGER, `fam_${at}`]);
  for (const { url } of servers) {
    const one = await connectRedis({ url, commandTimeoutMs: 5000 });
    await one.command("HSET", one.keys.cutOffs, ...fields.flat());
    await one.command("ZADD", one.keys.endedFamilies, ...families.flat());
    await one.commands(fields.map((_, at) => ["SET", `latchkey:quota:q${at}`, "1"]));
    await one.close();
  }
});

afterAll(async () => {
  await client?.close();
  await relay?.close();
  for (const server of servers ?? []) await server.stop();
});

test.each([
  ["the snapshot of the view", 2 * ENTRIES, () => snapshot(client)],
  ["the names of counters", ENTRIES, () => scanNames(client, "latchkey:quota:*")],
])("%s is whole, or rejects if another server has the connection now", async (_name, count, scan) => {
  const seen = new Set<string>();
  const readAll = async (onPage: () => Promise<void>) => {
    seen.clear();
    for await (const page of scan()) {
      for (const entry of page) seen.add(JSON.stringify(entry));
      await onPage();
    }
  };
  await readAll(async () => undefined);
  expect(seen.size).toBeGreaterThanOrEqual(count);
  let isReplaced = false;
  const replace = async () => {
    // The first page of the snapshot is no page of a scan.
    if (isReplaced || seen.size < 2) return;
    isReplaced = true;
    // The next page is on its way already. It arrives before this response.
    await client.command("PING");
    relay.leadTo(servers[1]?.port ?? 0);
    await connected();
  };
  const outcome = await readAll(replace).catch((error: unknown) => error);

  relay.leadTo(servers[0]?.port ?? 0);
  await connected();
  expect(String(outcome)).toContain("the connection was replaced during a scan");
});

/** Until the client has a connection that the relay has not reset. */
async function connected(): Promise<void> {
  await expect.poll(() => client.command("PING").catch(() => "")).toBe("PONG");
}
