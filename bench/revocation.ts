import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "../src/client/client.ts";
import { newSecret } from "../test/support/keys.ts";
import { startLatchkey } from "../test/support/latchkey.ts";
import { startRedis } from "../test/support/redis.ts";

const INSTANCES = 3;
const REVOCATIONS = 200;

/** From the 204 of a revocation to the first refusal on each instance, in milliseconds. */
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
    const refused = clients.map(async (client) => {
      while (await isGood(client, key.api_key)) await pause(1);
      return performance.now() - sinceMs;
    });
    delaysMs.push(...(await Promise.all(refused)));
  }
} finally {
  await Promise.all(instances.map((instance) => instance.stop()));
  await redis.stop();
}
delaysMs.sort((a, b) => a - b);
const at = (share: number) => (delaysMs[Math.ceil(delaysMs.length * share) - 1] ?? 0).toFixed(1);
console.log(
  `${INSTANCES} instances, ${REVOCATIONS} revocations, ms from the 204 to the first refusal on each:`,
);
console.log(`median ${at(0.5)}, 99th percentile ${at(0.99)}, most ${at(1)}`);

async function isGood(client: (typeof clients)[number], key: string): Promise<boolean> {
  try {
    await client.validate(key);
    return true;
  } catch {
    return false;
  }
}
