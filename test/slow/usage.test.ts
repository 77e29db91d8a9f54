import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { createClient } from "../../src/client/client.ts";
import type { DirectChecks } from "../support/direct-checks.ts";
import { connectChecks } from "../support/direct-checks.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startRedis } from "../support/redis.ts";

const ADMIN_TOKEN = newSecret();
const POLICY = `
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1d } }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 10000/s }
`;
/** An instance stores usage this often. */
const POSTED_EVERY_MS = 10_000;
/** Reports may begin before midnight and end after it. */
const FROM = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
const WAIT = { timeout: 60_000, interval: 200 };

const endings: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function startFleet(instances: number) {
  const redis = await startRedis();
  endings.push(redis.stop);
  const env = { ADMIN_TOKEN, JWT_SECRET: newSecret(), REDIS_URL: redis.url };
  const fleet: { readonly latchkey: TestedLatchkey; readonly checks: DirectChecks }[] = [];
  // One after the other: four starts at once take long on a busy machine.
  for (let started = 0; started < instances; started++) {
    const latchkey = await startLatchkey({ ...env, REDIS_COMMAND_TIMEOUT_MS: "500" }, { policy: POLICY });
    endings.push(latchkey.stop);
    const checks = await connectChecks(latchkey.grpc);
    endings.push(checks.close);
    fleet.push({ latchkey, checks });
  }
  const reader = async () => {
    const latchkey = await startLatchkey(env, { policy: POLICY });
    endings.push(latchkey.stop);
    return latchkey;
  };
  return { redis, fleet, reader };
}

const clientOf = ({ operator }: Pick<TestedLatchkey, "operator">) =>
  createClient({ url: `http://${operator}`, token: ADMIN_TOKEN });

async function countedAt(latchkey: TestedLatchkey): Promise<number> {
  let sum = 0;
  for await (const { allowed } of clientOf(latchkey).usage.all({ from: FROM })) sum += allowed;
  return sum;
}

const REQUESTS = 100_000;
const AT_ONCE = 50;

test("of 100,000 requests over four instances, a killed one loses at most its last 10 s, and none counts twice", async () => {
  const { fleet, reader } = await startFleet(4);
  const [first, ...others] = fleet.map(({ latchkey }) => latchkey);
  if (first === undefined) return expect.unreachable();
  const keys = await Promise.all(
    ["a", "b", "c"].map((owner) => clientOf(first).register({ name: "n", key_type: "basic", owner })),
  );
  const [killed] = others;
  /** When each request was answered, in milliseconds. Requests without an answer may have been admitted. */
  const admitted = fleet.map((): number[] => []);
  const unanswered = fleet.map(() => 0);
  let left = REQUESTS;
  const startedMs = performance.now();
  const clients = fleet.flatMap(({ latchkey, checks }, at) =>
    Array.from({ length: AT_ONCE }, async (_, client) => {
      const key = keys[client % keys.length]?.api_key;
      while (left-- > 0) {
        try {
          if ((await checks.check("/a/1", key)) === "allowed") admitted[at]?.push(performance.now());
        } catch {
          expect(latchkey).toBe(killed);
          unanswered[at] = (unanswered[at] ?? 0) + 1;
          return;
        }
      }
    }),
  );
  // The instance has stored usage before, and has more that it did not store.
  await vi.waitFor(async () => expect(await countedAt(first)).toBeGreaterThan(0), WAIT);
  await pause(Math.max(0, startedMs + 1.3 * POSTED_EVERY_MS - performance.now()));
  process.kill(killed?.pid ?? expect.unreachable(), "SIGKILL");
  const killedMs = performance.now();
  await Promise.all(clients);
  // An instance stores what it has counted when it stops.
  await Promise.all(fleet.map(({ latchkey }) => latchkey !== killed && latchkey.stop()));
  const counted = await countedAt(await reader());
  const total = admitted.flat().length;
  const atRisk = (admitted[1] ?? []).filter((ms) => ms > killedMs - 1.1 * POSTED_EVERY_MS).length;
  expect(total).toBeGreaterThan(REQUESTS / 2);
  expect(counted).toBeGreaterThanOrEqual(total - atRisk);
  expect(counted).toBeLessThanOrEqual(total + (unanswered[1] ?? 0));
});

test("while Redis does not respond usage waits, and what it executed late counts once", async () => {
  const { redis, fleet } = await startFleet(1);
  const [{ latchkey, checks } = expect.unreachable()] = fleet;
  const { api_key: key } = await clientOf(latchkey).register({ name: "n", key_type: "basic", owner: "a" });
  let sent = 0;
  const send = async (count: number) => {
    for (let at = 0; at < count; at++) expect(await checks.check("/a/1", key)).toBe("allowed");
    sent += count;
  };
  await send(10);
  process.kill(redis.pid, "SIGSTOP");
  try {
    // Postings are sent into the connection, time out, and are repeated.
    for (let second = 0; second < 1.3 * (POSTED_EVERY_MS / 1000); second++) {
      await send(3);
      await pause(1000);
    }
  } finally {
    process.kill(redis.pid, "SIGCONT");
  }
  await vi.waitFor(async () => expect(await countedAt(latchkey)).toBe(sent), WAIT);
});

test("a Redis that has lost its data gets the usage of the last minute again, once", async () => {
  const { redis, fleet } = await startFleet(2);
  const [{ latchkey } = expect.unreachable()] = fleet;
  const { api_key: key } = await clientOf(latchkey).register({ name: "n", key_type: "basic", owner: "a" });
  for (const { checks } of fleet) for (let at = 0; at < 20; at++) await checks.check("/a/1", key);
  await vi.waitFor(async () => expect(await countedAt(latchkey)).toBe(40), WAIT);
  await redis.cli("FLUSHALL");
  expect(await countedAt(latchkey)).toBe(0);
  await vi.waitFor(async () => expect(await countedAt(latchkey)).toBe(40), WAIT);
});
