import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import type { KeyRecord } from "../src/core/keys/key-record.ts";
import { connectRedis } from "../src/redis/client.ts";
import { createKeyStore } from "../src/redis/key-store.ts";
import { startRedis } from "../test/support/redis.ts";

/**
 * How many keys and changes the server of the registry carries, which is one slot of a Cluster: the time of Redis and its memory
 * for each registration and each revocation.
 *
 *     node bench/registry.ts --keys 20000
 */
const { values } = parseArgs({ options: { keys: { type: "string", default: "20000" } } });
const KEYS = Number(values.keys);
const AT_A_TIME = 50;

const node = await startRedis();
const client = await connectRedis({ url: node.url, commandTimeoutMs: 10_000 });
client.finishStartup();
const store = createKeyStore(client, {
  recordRetentionSeconds: 604_800,
  waitReplicas: 0,
  replicaTimeoutMs: 100,
  newRandom: randomUUID,
});

const nowSeconds = Math.floor(Date.now() / 1000);
const records = Array.from({ length: KEYS }, (_, at): KeyRecord => {
  const id = randomUUID().replaceAll("-", "").slice(0, 22);
  return {
    ...{ keyId: `basic_${nowSeconds}_${id}`, family: `fam_${id}`, familyStartedAt: nowSeconds },
    ...{ owner: `owner-${at % 1000}`, role: "basic", scopes: ["a:read"], name: "billing service" },
    ...{ issuedAt: nowSeconds, expiresAt: nowSeconds + 86_400, refreshAfter: nowSeconds + 43_200 },
    ...{ selfService: false, disabled: false, version: 1 },
  };
});

const memory = async () => Number(/used_memory:(\d+)/.exec(await node.cli("INFO", "memory"))?.[1]);

/** Commits each change, fifty at a time, and prints the rate and the time that Redis needed for each. */
async function measure(what: string, change: (record: KeyRecord) => KeyRecord): Promise<void> {
  await node.cli("CONFIG", "RESETSTAT");
  const waiting = [...records.entries()];
  const startedMs = performance.now();
  const commitAll = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [at, record] = next;
      const changed = change(record);
      const outcome = await store.commit({
        nowSeconds: Math.floor(Date.now() / 1000),
        put: [changed],
        audit: [],
      });
      if (outcome.kind !== "committed") throw new Error(`${what}: ${outcome.kind}`);
      records[at] = changed;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, commitAll));
  const seconds = (performance.now() - startedMs) / 1000;
  const stats = await node.cli("INFO", "commandstats");
  const usec = Number(/cmdstat_evalsha:calls=\d+,usec=\d+,usec_per_call=([\d.]+)/.exec(stats)?.[1]);
  console.log(
    `${what}: ${(KEYS / seconds).toFixed(0)}/s from one instance, ${usec.toFixed(0)} µs of Redis each`,
  );
}

const before = await memory();
await measure("registrations", (record) => record);
console.log(`memory: ${((await memory()) - before) / KEYS} bytes for each key`);
await measure("revocations", (record) => ({ ...record, revokedAt: nowSeconds, version: record.version + 1 }));
await client.close();
await node.stop();
