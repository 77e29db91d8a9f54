import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { newFolder } from "../support/copied-stores.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import { runLatchkey } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

let redis: TestedRedis;
let other: TestedRedis;

beforeAll(async () => {
  [redis, other] = await Promise.all([startRedis(), startRedis()]);
});

afterAll(async () => {
  await redis?.stop();
  await other?.stop();
});

function clientOf({ operator }: TestedLatchkey, token?: string): LatchkeyClient {
  return createClient({ url: `http://${operator}`, ...(token !== undefined && { token }) });
}

async function verdict(client: LatchkeyClient, key: string): Promise<string> {
  return client.validate(key).then(
    () => "valid",
    (error: { readonly reason?: string }) => error.reason ?? String(error),
  );
}

const copy = (...args: readonly string[]) => runLatchkey(["store", "copy", ...args]);

test("a store moves from a folder to Redis, from there to another Redis, and back into a folder", async () => {
  const first = await startLatchkey();
  const client = clientOf(first);
  const [good, bad] = await Promise.all([
    client.register({ name: "good", key_type: "basic" }),
    client.register({ name: "bad", key_type: "basic" }),
  ]);
  const legacy = await client.registerLegacy({ name: "v1", key_type: "basic" });
  await client.revoke(bad.api_key);
  await first.stop();
  const secret = { JWT_SECRET_FILE: join(first.dataDir, "jwt_secret") };
  const folder = newFolder();
  const places = [first.dataDir, redis.url, other.url, folder] as const;
  const instances = [
    {},
    { REDIS_URL: redis.url, ...secret },
    { REDIS_URL: other.url, ...secret },
    { DATA_DIR: folder, ...secret },
  ];
  for (const [at, to] of places.entries()) {
    const from = places[at - 1];
    if (from === undefined) continue;
    const { status, stdout, stderr } = copy(from, to);
    expect({ status, stderr: stderr.includes("JWT_SECRET_FILE=") }).toEqual({ status: 0, stderr: at === 1 });
    expect(stdout).toContain("The target has everything that the source has.");
    expect(stdout).not.toMatch(/missing|has more/);
    expect(copy(from, to, "--verify")).toMatchObject({ status: 0 });
    const latchkey = await startLatchkey(instances[at]);
    const moved = clientOf(latchkey);
    expect(await Promise.all([good, bad, legacy].map(({ api_key }) => verdict(moved, api_key)))).toEqual([
      "valid",
      "key-revoked",
      "valid",
    ]);
    await latchkey.stop();
  }
  const tokens = [first.dataDir, folder].map((place) => readFileSync(join(place, "admin_token"), "utf8"));
  expect(tokens[1]).toBe(tokens[0]);
});

test("freeze stops changes on every instance, and neither Checks nor revocations", async () => {
  await redis.cli("FLUSHALL");
  const secrets = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
  const env = { REDIS_URL: redis.url, ...secrets, REDIS_COMMAND_TIMEOUT_MS: "10000" };
  const [one, two] = await Promise.all([startLatchkey(env), startLatchkey(env)]);
  const cli = { LATCHKEY_URL: `http://${one.operator}`, LATCHKEY_TOKEN: env.ADMIN_TOKEN };
  const client = clientOf(two, env.ADMIN_TOKEN);
  const key = await client.register({ name: "x", key_type: "basic" });
  const frozen = runLatchkey(["store", "freeze", "--for", "90s"], cli);
  expect(frozen).toMatchObject({
    stderr: "",
    status: 0,
    stdout: expect.stringMatching(/^frozen until 20\S+Z\n$/),
  });
  const response = await fetch(`http://${two.http}/api/auth/v2/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "x", key_type: "basic" }),
  });
  expect(await response.json()).toMatchObject({ type: "/problems/registry-frozen", status: 503 });
  expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(60);
  expect(await verdict(client, key.api_key)).toBe("valid");
  const metric = async () => (await readMetrics(two.ops)).get("latchkey_registry_frozen");
  await expect.poll(metric).toBe(1);
  expect((await client.freeze.show()).frozen_until).not.toBeNull();
  await client.revoke(key.api_key);
  expect(await verdict(client, key.api_key)).toBe("key-revoked");
  expect(runLatchkey(["store", "thaw"], cli).status).toBe(0);
  await client.register({ name: "x", key_type: "basic" });
  const { events } = await client.audit({ limit: 10 });
  expect(events.map(({ event }) => event)).toEqual(
    expect.arrayContaining(["registry_frozen", "registry_thawed"]),
  );
  await Promise.all([one.stop(), two.stop()]);
});
