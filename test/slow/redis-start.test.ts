import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import type { FaultRelay } from "../support/fault-relay.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { newSecret } from "../support/keys.ts";
import type { StartingLatchkey } from "../support/latchkey.ts";
import { launchLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { freePort, startRedis, urlBy } from "../support/redis.ts";
import { latchkeyUser } from "../support/redis-user.ts";

const ADMIN_TOKEN = newSecret();
const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN, REDIS_COMMAND_TIMEOUT_MS: "2000" };
const WAITING = { instance: "waiting", revocations: "not_ready", secrets: "not_ready", clock: "not_ready" };

let redis: TestedRedis;
let relay: FaultRelay;

beforeAll(async () => {
  redis = await startRedis();
  relay = await startFaultRelay(redis.port);
});
afterAll(async () => {
  await relay?.close();
  await redis?.stop();
});

async function waits(latchkey: StartingLatchkey): Promise<void> {
  await expect.poll(latchkey.readyz, { interval: 20 }).toEqual({ status: 503, parts: WAITING });
}

async function becomesReady(latchkey: StartingLatchkey): Promise<void> {
  // The limit is the guarantee. A machine with eight times as many processes as cores needed 1.7 s.
  await expect.poll(latchkey.readyz, { timeout: 5000, interval: 20 }).toMatchObject({ status: 200 });
}

describe("an instance that starts while Redis is unusable waits, and is ready within 5 s after Redis is usable", () => {
  test("an instance waits for a Redis that loads its data, is a replica, or is full", async () => {
    const own = await startRedis();
    await own.cli("REPLICAOF", "127.0.0.1", String(redis.port));
    await own.cli("CONFIG", "SET", "replica-serve-stale-data", "no");
    const latchkey = await launchLatchkey({ ...env, REDIS_URL: own.url });
    await waits(latchkey);
    await own.cli("REPLICAOF", "127.0.0.1", "1"); // MASTERDOWN from now on.
    await own.cli("REPLICAOF", "NO", "ONE");
    await becomesReady(latchkey);
    expect(await latchkey.stop()).toBe(0);

    await own.cli("CONFIG", "SET", "maxmemory", "1");
    const another = await launchLatchkey({ ...env, REDIS_URL: own.url });
    await waits(another);
    await own.cli("CONFIG", "SET", "maxmemory", "0");
    await becomesReady(another);
    expect(await another.stop()).toBe(0);
    await own.cli("EVAL", "for i = 1, 3000 do redis.call('SET', 'latchkey:loaded:' .. i, i) end", "0");
    await own.cli("SAVE");
    await own.stop("SIGKILL");

    const third = await launchLatchkey({ ...env, REDIS_URL: own.url });
    const slowly = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
    const loading = startRedis({ port: own.port, dir: own.dir, args: slowly });
    await waits(third);
    const loaded = await loading;
    await becomesReady(third);
    expect(await third.stop()).toBe(0);
    await loaded.stop();
  });

  test("an instance waits behind a black hole, and stops cleanly on a signal", async () => {
    relay.set({ kind: "black-hole" });
    const [waiting, ended] = await Promise.all(
      [1, 2].map(() => launchLatchkey({ ...env, REDIS_URL: urlBy(relay.port) })),
    );
    if (waiting === undefined || ended === undefined) throw new Error("two");
    await waits(waiting);
    await waits(ended);
    expect(await ended.stop()).toBe(0);
    expect(ended.output()).not.toContain("cannot start");
    relay.set({ kind: "pass" });
    await becomesReady(waiting);
    expect(await waiting.stop()).toBe(0);
  });

  test("an instance waits for a host name that does not resolve yet", async () => {
    const latchkey = await launchLatchkey({ ...env, REDIS_HOST: "redis.invalid" });
    await waits(latchkey);
    expect(await latchkey.stop()).toBe(0);
  });

  test("an instance continues a start that Redis's exit has interrupted", async () => {
    for (const afterBytes of [200, 900]) {
      relay.set({ kind: "cut", afterBytes });
      const latchkey = await launchLatchkey({ ...env, REDIS_URL: urlBy(relay.port) });
      await expect.poll(latchkey.output).toContain("Redis does not respond yet");
      relay.set({ kind: "pass" });
      await becomesReady(latchkey);
      expect(await latchkey.stop()).toBe(0);
    }
  });

  test("several workers wait too, and a signal stops them meanwhile", async () => {
    const port = await freePort();
    const workers = { ...env, REDIS_URL: urlBy(port), WORKERS: "2" };
    const [waiting, ended] = [await launchLatchkey(workers), await launchLatchkey(workers)];
    const parts = [1, 2].flatMap((at) =>
      Object.entries(WAITING).map(([name, state]) => [`worker_${at}.${name}`, state]),
    );
    for (const one of [waiting, ended])
      await expect.poll(one.readyz).toEqual({ status: 503, parts: Object.fromEntries(parts) });
    expect((await fetch(`http://${waiting.ops}/livez`)).status).toBe(200);
    expect((await fetch(`http://${waiting.http}/api/auth/v2/validate`)).status).toBe(503);
    const children = readFileSync(`/proc/${ended.pid}/task/${ended.pid}/children`, "utf8");
    expect(children.trim().split(" ")).toHaveLength(2);
    expect(await ended.stop()).toBe(0);
    const back = await startRedis({ port });
    await becomesReady(waiting);
    expect(await waiting.stop()).toBe(0);

    // A rejection stops the process.
    const rejected = await launchLatchkey({ ...workers, REDIS_URL: back.url.replace(/:[^:@]+@/, ":wrong@") });
    expect(await rejected.exited).toBe(1);
    expect(rejected.output()).toContain("REDIS_PASSWORD, REDIS_USERNAME or REDIS_URL");
    await back.stop();
  });
});

describe("a database that cannot be selected on a reconnect is an outage, and no other database is used", () => {
  test("no other database is used after the right to select is revoked, or after a restart with fewer databases", async () => {
    const own = await startRedis();
    const PASSWORD = newSecret();
    const [, ...rules] = latchkeyUser(PASSWORD);
    await own.cli("ACL", "SETUSER", "us", ...rules);
    const latchkey = await launchLatchkey({
      ...env,
      REDIS_URL: `redis://us:${PASSWORD}@127.0.0.1:${own.port}/3`,
    });
    await expect.poll(latchkey.readyz).toMatchObject({ status: 200 });
    const client = createClient({ url: `http://${latchkey.http}`, token: ADMIN_TOKEN });
    const register = () => client.register({ name: "n", key_type: "basic" });
    const registering = () =>
      register().then(
        () => "made",
        () => "refused",
      );
    await register();
    await own.cli("ACL", "SETUSER", "us", "-select");
    await own.cli("CLIENT", "KILL", "USER", "us");
    await expect.poll(registering).toBe("refused");
    await expect.poll(latchkey.output).toContain("Redis does not respond");
    await own.cli("ACL", "SETUSER", "us", "+select");
    await expect.poll(registering).toBe("made");
    await own.stop();

    const fewer = await startRedis({ port: own.port, args: ["--databases", "2"] });
    await fewer.cli("ACL", "SETUSER", "us", ...rules);
    await expect(register()).rejects.toMatchObject({ status: 503 });
    expect(await fewer.cli("INFO", "keyspace")).not.toContain("db0");
    await fewer.stop();
    const whole = await startRedis({ port: own.port });
    await whole.cli("ACL", "SETUSER", "us", ...rules);
    await expect.poll(registering).toBe("made");
    expect(await whole.cli("INFO", "keyspace")).toMatch(/^# Keyspace\s+db3:\S+$/);
    expect(await latchkey.stop()).toBe(0);
    await whole.stop();
  });
});
