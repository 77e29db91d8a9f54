import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "../src/client/client.ts";
import { fillWithEndedKeys, fillWithOverrides } from "../test/support/ended-keys.ts";
import { newSecret } from "../test/support/keys.ts";
import { startLatchkey } from "../test/support/latchkey.ts";
import { startRedis } from "../test/support/redis.ts";

const INSTANCES = 3;
const REVOCATIONS = 200;
const ENTRIES = 100_000;

const COLLECT_ON_SIGNAL = `--import=${new URL("../test/support/collect-on-signal.ts", import.meta.url)}`;

/** Measures the milliseconds from the 204 of a revocation to the first denial on each instance. */
const redis = await startRedis();
const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret(), REDIS_URL: redis.url };
const instances = await Promise.all(Array.from({ length: INSTANCES }, () => startLatchkey(env)));
const clients = instances.map(({ http }) => createClient({ url: `http://${http}`, token: env.ADMIN_TOKEN }));
const delaysMs: number[] = [];
try {
  for (let done = 0; done < REVOCATIONS; done++) {
    const revoking = clients[done % INSTANCES];
    const key = await revoking?.register({ name: "bench", key_type: "contributor" });
    if (revoking === undefined || key === undefined) throw new Error("no instance");
    await revoking.keys.revoke(key.key_id);
    const sinceMs = performance.now();
    const denied = clients.map(async (client) => {
      while (await isValid(client, key.api_key)) await pause(1);
      return performance.now() - sinceMs;
    });
    delaysMs.push(...(await Promise.all(denied)));
  }
  await measureLoading();
} finally {
  await Promise.all(instances.map((instance) => instance.stop()));
  await redis.stop();
}
delaysMs.sort((a, b) => a - b);
const at = (share: number) => (delaysMs[Math.ceil(delaysMs.length * share) - 1] ?? 0).toFixed(1);
console.log(
  `${INSTANCES} instances, ${REVOCATIONS} revocations, ms from the 204 to the first denial on each instance:`,
);
console.log(`median ${at(0.5)}, 99th percentile ${at(0.99)}, maximum ${at(1)}`);

/** Starts one more instance after each filling. The differences are the time to load the entries, and their memory. */
async function measureLoading(): Promise<void> {
  let before = await measureStart();
  for (const [what, fill] of [
    ["ended keys", fillWithEndedKeys],
    ["overrides", fillWithOverrides],
  ] as const) {
    await fill(redis, ENTRIES);
    const filled = await measureStart();
    const [ms, megabytes] = [filled.ms - before.ms, (filled.bytes - before.bytes) / 1e6];
    before = filled;
    console.log(`${ENTRIES} ${what}: loaded in ${ms.toFixed(0)} ms, ${megabytes.toFixed(1)} MB per instance`);
  }
}

async function measureStart() {
  const sinceMs = performance.now();
  const instance = await startLatchkey({ ...env, NODE_OPTIONS: COLLECT_ON_SIGNAL });
  const ms = performance.now() - sinceMs;
  process.kill(instance.pid, "SIGUSR2");
  const text = await (await fetch(`http://${instance.ops}/metrics`)).text();
  const bytes = ["nodejs_heap_size_used_bytes", "nodejs_external_memory_bytes"]
    .map((name) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]))
    .reduce((sum, value) => sum + value, 0);
  await instance.stop();
  return { ms, bytes };
}

async function isValid(client: (typeof clients)[number], key: string): Promise<boolean> {
  try {
    await client.validate(key);
    return true;
  } catch {
    return false;
  }
}
