import { afterAll, beforeAll, expect, test } from "vitest";
import { connectRedis } from "../../src/redis/client.ts";
import { createOneServer } from "../../src/redis/one-server.ts";
import { connectSpread } from "../../src/redis/spread-on-cluster.ts";
import type { ClusterSetup } from "../support/cluster.ts";
import { startCluster } from "../support/cluster.ts";
import { readRedisUrl } from "../../src/config/redis-url.ts";

let setup: ClusterSetup;
beforeAll(async () => {
  const t = performance.now();
  setup = await startCluster();
  console.log("started", performance.now() - t);
});
afterAll(() => setup?.stop());

test("smoke", async () => {
  const client = await connectRedis({ url: setup.url, server: createOneServer(), commandTimeoutMs: 500 });
  expect(await client.command("GET", client.keys.epoch)).toBe(null);
  const read = readRedisUrl(setup.url);
  if (!read.ok) throw new Error(read.problem);
  const spread = await connectSpread({ ...read.place, seeds: read.place.seeds ?? [], commandTimeoutMs: 500, onMap: (map) => console.log(map.uncoveredSlots, map.primaries) });
  for (let i = 0; i < 10; i++) {
    const key = spread.keys.bucket(`r:b:s${i}`);
    await spread.commandAt(key, "HSET", key, "a", "1");
    console.log(spread.serverOf(key));
  }
  await spread.close();
  await client.close();
});
