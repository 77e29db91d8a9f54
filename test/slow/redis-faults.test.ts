import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { startEnvoy } from "../support/envoy.ts";
import type { FaultRelay, RelayFault } from "../support/fault-relay.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis, urlBy } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
const POLICY = `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, rate_limits: [{ name: n, per: key, capacity: 100000, refill: 10000/s }] }
routes: [{ path: /a/**, scopes: [a] }]
faults: { limits: allow }
`;

let redis: TestedRedis;
let relay: FaultRelay;
let upstream: Upstream;
/** One behind the relay, and one that is never cut off. */
let hurt: TestedLatchkey;
let well: TestedLatchkey;
let envoy: EnvoyProcess;
let operator: LatchkeyClient;
let key: string;

beforeAll(async () => {
  [redis, upstream] = await Promise.all([startRedis(), startUpstream()]);
  relay = await startFaultRelay(redis.port);
  hurt = await startLatchkey({ ...env, REDIS_URL: urlBy(relay.port) }, { policy: POLICY });
  well = await startLatchkey({ ...env, REDIS_URL: redis.url }, { policy: POLICY });
  envoy = await startEnvoy({ authzTarget: hurt.grpc, upstreamPort: upstream.port });
  operator = createClient({ url: `http://${well.operator}`, token: env.ADMIN_TOKEN });
  key = (await operator.register({ name: "n", key_type: "basic" })).api_key;
});

afterAll(async () => {
  await Promise.all([envoy, hurt, well].map((process) => process?.stop()));
  await relay?.close();
  await Promise.all([redis?.stop(), upstream?.stop()]);
});

afterEach(() => {
  // Whatever happened: nothing was left to the process's last resort.
  expect(hurt.output()).not.toMatch(/unhandled|uncaught/i);
});

async function check(token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`http://127.0.0.1:${envoy.port}/a/x`, { headers })).status;
}

/** Asks by four clients without pause while the fault lasts; every Check gets an answer. */
async function underLoad(during: () => Promise<void>): Promise<readonly number[]> {
  const statuses: number[] = [];
  let going = true;
  const clients = Array.from({ length: 4 }, async () => {
    while (going) statuses.push(await check(key));
  });
  await during();
  going = false;
  await Promise.all(clients);
  return statuses;
}

/** Redis is heard again: a revocation that the other instance makes now is refused here. */
async function expectHealed(): Promise<void> {
  let fresh: { api_key: string; key_id: string } | undefined;
  await expect
    .poll(
      async () => {
        fresh = await operator.register({ name: "n", key_type: "basic" }).catch(() => undefined);
        return fresh !== undefined;
      },
      { timeout: 10_000 },
    )
    .toBe(true);
  if (fresh === undefined) return;
  const { api_key, key_id } = fresh;
  await operator.keys.revoke(key_id);
  await expect.poll(() => check(api_key), { timeout: 10_000, interval: 20 }).toBe(401);
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe("while Redis is hurt, every Check is answered; then all is well by itself", () => {
  const faults: readonly (readonly [what: string, fault: RelayFault])[] = [
    ["connections are refused", { kind: "refuse" }],
    ["nothing comes through", { kind: "black-hole" }],
    ["everything takes 5 s", { kind: "delay", ms: 5000 }],
    ["connections are reset in mid-command", { kind: "cut", afterBytes: 60 }],
    ["replies end early", { kind: "truncate", afterBytes: 7 }],
  ];
  test.each(faults)("%s", async (_what, fault) => {
    const statuses = await underLoad(async () => {
      relay.set(fault);
      await pause(2500);
      relay.set({ kind: "pass" });
      relay.reset();
    });
    expect(new Set(statuses)).toEqual(new Set([200]));
    await expectHealed();
  });

  const replies: readonly (readonly [what: string, begin: readonly string[], end: readonly string[]])[] = [
    ["OOM", ["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]],
    ["READONLY", ["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]],
    ["WRONGTYPE", ["SET", "latchkey:feed", "text"], ["DEL", "latchkey:feed"]],
  ];
  test.each(replies)("it answers %s", async (_what, begin, end) => {
    const statuses = await underLoad(async () => {
      await redis.cli(...begin);
      await pause(1500);
      await redis.cli(...end);
    });
    expect(new Set(statuses)).toEqual(new Set([200]));
    await expectHealed();
  });

  test("the process is stopped for a while", async () => {
    const statuses = await underLoad(async () => {
      process.kill(redis.pid, "SIGSTOP");
      await pause(2500);
      process.kill(redis.pid, "SIGCONT");
    });
    expect(new Set(statuses)).toEqual(new Set([200]));
    await expectHealed();
  });

  test("the process is killed, and comes back empty: a revoked key stays revoked", async () => {
    const gone = await operator.register({ name: "n", key_type: "basic" });
    await operator.keys.revoke(gone.key_id);
    await expect.poll(() => check(gone.api_key), { timeout: 5000, interval: 20 }).toBe(401);
    const statuses = await underLoad(async () => {
      const { port } = redis;
      await redis.stop("SIGKILL");
      await pause(1500);
      redis = await startRedis({ port });
      await pause(1500);
    });
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await check(gone.api_key)).toBe(401);
    await expectHealed();
    const later = await startLatchkey({ ...env, REDIS_URL: redis.url }, { policy: POLICY });
    const validate = createClient({ url: `http://${later.http}` }).validate(gone.api_key);
    await expect(validate).rejects.toMatchObject({ reason: "key-revoked" });
    await later.stop();
  });
});
