import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { newFakeClock } from "../support/faketime.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runLatchkey } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const ADMIN_TOKEN = newSecret();
const env = {
  JWT_SECRET: newSecret(),
  KEY_HASH_SECRET: newSecret(),
  AUDIT_KEY: newSecret(),
  ADMIN_TOKEN,
  REDIS_COMMAND_TIMEOUT_MS: "10000",
};

let redis: TestedRedis;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

const operatorOf = ({ operator }: TestedLatchkey) =>
  createClient({ url: `http://${operator}`, token: ADMIN_TOKEN });
const readyz = async ({ ops }: TestedLatchkey) => (await fetch(`http://${ops}/readyz`)).json();

/** A hash of all keys in the store and of all data that instances exchange. */
async function contents(): Promise<string> {
  const script = `
    local found = {}
    for _, name in ipairs(redis.call('KEYS', '*')) do
      if name ~= 'latchkey:kids' and name ~= 'latchkey:members' and not string.find(name, 'secret') then
        found[#found + 1] = name .. ' ' .. redis.call('DUMP', name)
      end
    end
    table.sort(found)
    return redis.sha1hex(table.concat(found, '|'))`;
  return redis.cli("EVAL", script, "0");
}

describe("two fleets on one database", () => {
  test("the later instance is not ready, names the differing setting, and changes nothing, for each shared setting", async () => {
    const first = await startLatchkey({ ...env, REDIS_URL: redis.url });
    const { api_key: key, key_id } = await registerKey(first.http);
    const different = {
      JWT_SECRET: newSecret(),
      JWT_ISSUER: "another",
      JWT_AUDIENCE: "another",
      KEY_HASH_SECRET: newSecret(),
      AUDIT_KEY: newSecret(),
    };
    // The first instance may still have to write its own events.
    await expect
      .poll(() => redis.cli("XINFO", "GROUPS", "latchkey:audit"))
      .toMatch(/\bpending\s+0\s[\s\S]*\blag\s+0\b/);
    const before = await contents();
    await Promise.all(
      Object.entries(different).map(async ([name, value]) => {
        // Its policy has another phase, which a start would store.
        const stranger = await startLatchkey(
          { ...env, REDIS_URL: redis.url, [name]: value },
          { policy: "migration: { phase: deprecated }" },
        );
        await expect
          .poll(() => readyz(stranger))
          .toMatchObject({ status: "not_ready", parts: { secrets: "not_ready" } });
        await expect
          .poll(stranger.output)
          .toContain(
            `which have a different ${name === "JWT_SECRET" ? "JWT_SECRET or JWT_KEYS_FILE" : name}:`,
          );
        const operator = operatorOf(stranger);
        const unavailable = { status: 503, reason: "store-unavailable" };
        await expect(operator.register({ name: "n", key_type: "basic" })).rejects.toMatchObject(unavailable);
        await expect(operator.registerLegacy({ name: "n", key_type: "basic" })).rejects.toMatchObject(
          unavailable,
        );
        await expect(operator.keys.revoke(key_id)).rejects.toMatchObject(unavailable);
        await expect(operator.keys.rotate(key_id)).rejects.toMatchObject(unavailable);
        await expect(
          operator.keys.revokeIssuedBefore({ before: new Date().toISOString() }),
        ).rejects.toMatchObject(unavailable);
        await expect(operator.migration.set("removed")).rejects.toMatchObject(unavailable);
        await expect(operator.limits.reset(key_id)).rejects.toMatchObject(unavailable);
        const line = `${JSON.stringify({ api_key: `key-of-${name}-0123456789`, name: "n", role: "basic" })}\n`;
        await expect(operator.keys.import(line)).rejects.toMatchObject(unavailable);
        expect(await stranger.stop()).toBe(0);
      }),
    );
    const file = join(first.cwd, "keys.jsonl");
    writeFileSync(
      file,
      `${JSON.stringify({ api_key: "key-of-another-0123456789", name: "n", role: "basic" })}\n`,
    );
    const offline = runLatchkey(["import", file], {
      ...env,
      REDIS_URL: redis.url,
      KEY_HASH_SECRET: newSecret(),
    });
    expect(offline).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("a different KEY_HASH_SECRET"),
    });
    expect(await contents()).toBe(before);
    expect(await readyz(first)).toMatchObject({ status: "ready" });
    expect(await operatorOf(first).validate(key)).toMatchObject({ valid: true });
    // The published values reveal no secret, not even to a guess by hash.
    const published = await redis.cli("HVALS", "latchkey:kids");
    for (const [name, value] of Object.entries({ ...env, JWT_ISSUER: "blyan-api", JWT_AUDIENCE: "latchkey" }))
      if (name !== "REDIS_COMMAND_TIMEOUT_MS") expect(published).not.toContain(value);
    await first.stop();
  });

  test("a later instance becomes the fleet once the others have left, and a shared former secret is sufficient", async () => {
    const first = await startLatchkey({ ...env, REDIS_URL: redis.url });
    const next = newSecret();
    const rotating = { ...env, KEY_HASH_SECRET: next, KEY_HASH_SECRET_PREVIOUS: env.KEY_HASH_SECRET };
    const rotated = await startLatchkey({ ...rotating, REDIS_URL: redis.url });
    expect(await readyz(rotated)).toMatchObject({ status: "ready" });
    await rotated.stop();
    const other = await startLatchkey(
      { ...env, JWT_ISSUER: "another", REDIS_URL: redis.url },
      { policy: "migration: { phase: gradual }" },
    );
    expect(await readyz(other)).toMatchObject({ status: "not_ready" });
    await first.stop();
    await expect.poll(() => readyz(other)).toMatchObject({ status: "ready" });
    expect(await operatorOf(other).register({ name: "n", key_type: "basic" })).toHaveProperty("key_id");
    await expect.poll(async () => (await operatorOf(other).migration.show()).phase).toBe("gradual");
    await other.stop();
  });
});

test("a clock difference to Redis is logged from 2 s on, and from 5 s on the instance is not ready until it ends", async () => {
  const clock = await newFakeClock(3);
  const latchkey = await startLatchkey({ ...env, ...clock.env, REDIS_URL: redis.url });
  const aheadSeconds = async () => {
    const metrics = await (await fetch(`http://${latchkey.ops}/metrics`)).text();
    return Number(/^latchkey_clock_ahead_seconds (\S+)$/m.exec(metrics)?.[1]);
  };
  expect(await readyz(latchkey)).toMatchObject({ status: "ready", parts: { clock: "ready" } });
  expect(latchkey.output()).toContain("clock differs from Redis's by 2 s or more");
  expect(Math.round(await aheadSeconds())).toBe(3);
  clock.set(-60);
  await expect.poll(() => readyz(latchkey)).toMatchObject({ parts: { clock: "not_ready" } });
  await expect.poll(async () => Math.round(await aheadSeconds())).toBe(-60);
  await expect.poll(latchkey.output).toContain("clock differs from Redis's by 5 s or more");
  clock.set(0);
  await expect.poll(() => readyz(latchkey)).toMatchObject({ status: "ready" });
  await expect.poll(async () => Math.abs(await aheadSeconds())).toBeLessThan(1);
  await latchkey.stop();
});
