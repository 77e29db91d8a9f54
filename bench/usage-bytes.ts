import { dayOfHour, hourAt, hourOfDay } from "../src/core/usage/usage-time.ts";
import { connectRedis } from "../src/redis/client.ts";
import { spreadOnOneServer } from "../src/redis/spread-client.ts";
import { createUsageStore } from "../src/redis/usage-store.ts";
import { startRedis } from "../test/support/redis.ts";

/** `node bench/usage-bytes.ts [HOURS]`: what the usage of a family takes in Redis for one day, and the time of a posting. */
const FAMILIES = 2000;
const ROUTES = 3;
const DAY_SECONDS = 86_400;

const hours = Number(process.argv[2] ?? 24);
const redis = await startRedis();
const client = await connectRedis({ url: redis.url, commandTimeoutMs: 5000 });
const retention = { hoursSeconds: 40 * DAY_SECONDS, daysSeconds: 400 * DAY_SECONDS };
const store = createUsageStore({
  registry: client,
  spread: spreadOnOneServer(client),
  instanceId: "abcdefghijklmnopqrstuv",
  retention,
  nowMs: Date.now,
});
const last = hourAt(Date.now());
const first = last - Math.min(hours - 1, hourOfDay(last));
const families = Array.from({ length: FAMILIES }, (_, at) => `fam_${String(at).padStart(22, "x")}`);
const usedBytes = async () => Number(/used_memory:(\d+)/.exec(await redis.cli("INFO", "memory"))?.[1]);
const counts = { allowed: 12_345, denied: 12, limited: 345 };
const routes = new Map(Array.from({ length: ROUTES }, (_, at) => [`/v1/route-${at}/**`, counts]));
const before = await usedBytes();
let [number, postings] = [0, 0];
const startedMs = performance.now();
for (let window = first; window <= last; window++)
  for (let at = 0; at < FAMILIES; at += 50) {
    const amount = { owner: "acme-corporation", requests: counts, cost: 12_345, units: new Map(), routes };
    const batch = families.slice(at, at + 50);
    await store.post(batch.map((subject) => ({ subject, number: ++number, after: 0, window, amount })));
    postings += batch.length;
  }
const elapsedMs = performance.now() - startedMs;
const keyBytes = async (kind: string, family = families[7]) =>
  Number(await redis.cli("MEMORY", "USAGE", `latchkey:usage:${kind}:${dayOfHour(last)}:${family}`));
const kinds = ["hours", "day", "posted"] as const;
const sizes = await Promise.all(kinds.map((kind) => keyBytes(kind)));
console.log(`${last - first + 1} hours, ${ROUTES} routes, ${FAMILIES} families`);
for (const [at, kind] of kinds.entries()) console.log(`${kind}: ${sizes[at]} bytes per family and day`);
const perFamily = ((await usedBytes()) - before) / FAMILIES;
console.log(`all of Redis: ${perFamily.toFixed(0)} bytes per family, lists included`);
console.log(`estimated: ${((await store.bytes()) / FAMILIES).toFixed(0)} bytes per family and day`);
const usec = /cmdstat_evalsha:calls=(\d+),usec=(\d+)/.exec(await redis.cli("INFO", "commandstats"));
console.log(`Redis's time: ${(Number(usec?.[2]) / postings).toFixed(1)} µs per posting`);
console.log(`${((postings / elapsedMs) * 1000).toFixed(0)} postings per second from one instance`);
await client.close();
await redis.stop();
