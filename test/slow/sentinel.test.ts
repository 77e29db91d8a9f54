import { copyFile } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { createCa } from "../support/certificates.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { launchLatchkey, startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import { freePort, startRedis } from "../support/redis.ts";
import { sentinelUser } from "../support/redis-user.ts";
import { MASTER, sentinelUrl, startSentinel } from "../support/sentinel.ts";

const ADMIN_TOKEN = newSecret();
const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN, REDIS_COMMAND_TIMEOUT_MS: "1000" };
const endings: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function registersAndRevokes({ operator }: Pick<TestedLatchkey, "operator">): Promise<void> {
  const client = createClient({ url: `http://${operator}`, token: ADMIN_TOKEN });
  const { api_key, key_id } = await client.register({ name: "n", key_type: "basic" });
  await client.keys.revoke(key_id);
  await expect(client.validate(api_key)).rejects.toMatchObject({ reason: "key-revoked" });
}

async function startRedisWithSentinel(lines: readonly string[] = []) {
  const redis = await startRedis();
  const sentinel = await startSentinel(redis.port, lines);
  endings.push(redis.stop, () => sentinel.stop());
  return { redis, sentinel };
}

test("by the single settings, as the users that we ship, and the metrics name the primary", async () => {
  const password = newSecret();
  const { redis, sentinel } = await startRedisWithSentinel();
  await sentinel.cli("ACL", "SETUSER", ...sentinelUser(password));
  const ofRedis = new URL(redis.url);
  const latchkey = await startLatchkey({
    ...env,
    REDIS_SENTINELS: `127.0.0.1:${sentinel.port},127.0.0.1:${await freePort()}`,
    REDIS_SENTINEL_MASTER: MASTER,
    REDIS_SENTINEL_USERNAME: "latchkey",
    REDIS_SENTINEL_PASSWORD: password,
    REDIS_USERNAME: ofRedis.username,
    REDIS_PASSWORD: decodeURIComponent(ofRedis.password),
  });
  endings.push(() => latchkey.stop());
  await registersAndRevokes(latchkey);
  const metrics = await readMetrics(latchkey.ops);
  const info = `latchkey_redis_primary_info{topology="sentinel",address="127.0.0.1:${redis.port}"}`;
  expect([metrics.get(info), metrics.get("latchkey_redis_failovers_total")]).toEqual([1, 0]);
  await expect.poll(latchkey.output).toContain("min-replicas-to-write is not set");
  for (const secret of [password, decodeURIComponent(ofRedis.password)])
    expect(latchkey.output()).not.toContain(secret);
});

test("a master that no Sentinel knows, and settings that contradict each other, end the start", async () => {
  const { sentinel } = await startRedisWithSentinel();
  await expect(startLatchkey({ ...env, REDIS_URL: sentinelUrl([sentinel.port], "other") })).rejects.toThrow(
    /exit code 1\b[\s\S]*REDIS_SENTINEL_MASTER, or the name in REDIS_URL: no Sentinel knows the master/,
  );
  const both = { REDIS_URL: sentinelUrl([sentinel.port]), REDIS_HOST: "127.0.0.1" };
  await expect(startLatchkey({ ...env, ...both })).rejects.toThrow("REDIS_URL and REDIS_HOST are both set");
});

test("a start waits for Sentinels that do not respond", async () => {
  const redis = await startRedis();
  endings.push(redis.stop);
  const port = await freePort();
  const latchkey = await launchLatchkey({ ...env, REDIS_URL: sentinelUrl([port]) });
  endings.push(() => latchkey.stop());
  await expect
    .poll(latchkey.readyz, { interval: 20 })
    .toMatchObject({ status: 503, parts: { instance: "waiting" } });
  await expect.poll(latchkey.output).toContain(`no Sentinel names the primary: Sentinel 127.0.0.1:${port}`);
  const sentinel = await startSentinel(redis.port, [`port ${port}`]);
  endings.push(() => sentinel.stop());
  await expect.poll(latchkey.readyz, { interval: 20 }).toMatchObject({ status: 200 });
});

test("REDIS_CA is read again for new connections, and a file that cannot be used is logged", async () => {
  const ca = await createCa();
  const server = await ca.issue("redis");
  const port = await freePort();
  const files = ["--tls-cert-file", server.certFile, "--tls-key-file", server.keyFile];
  const redis = await startRedis({
    args: ["--tls-port", String(port), ...files, "--tls-ca-cert-file", ca.certFile],
  });
  endings.push(redis.stop);
  const client = await ca.issue("latchkey");
  const latchkey = await startLatchkey({
    ...env,
    REDIS_URL: redis.url.replace("redis://", "rediss://").replace(String(redis.port), String(port)),
    REDIS_CA: ca.certFile,
    REDIS_CERT: client.certFile,
    REDIS_KEY: client.keyFile,
  });
  endings.push(() => latchkey.stop());
  await registersAndRevokes(latchkey);
  const kept = await createCa();
  await copyFile(ca.certFile, kept.keyFile);
  await copyFile(client.keyFile, ca.certFile);
  // The address is looked at every five seconds, on a new connection.
  await expect.poll(latchkey.output).toContain("REDIS_CA: ");
  await registersAndRevokes(latchkey);
  await copyFile(kept.keyFile, ca.certFile);
  await expect.poll(latchkey.output).toContain("can be used again");
});
