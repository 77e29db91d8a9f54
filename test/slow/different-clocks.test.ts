import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { admits } from "../support/admitted.ts";
import type { FakeClock } from "../support/faketime.ts";
import { newFakeClock } from "../support/faketime.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const env = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
const DAY = 86_400;

function operatorOf(instance: TestedLatchkey) {
  return createClient({ url: `http://${instance.operator}`, token: env.ADMIN_TOKEN });
}

const now = () => new Date().toISOString();
let owners = 0;
const newOwner = () => `owner-${owners++}`;

/** Guarantees within one second that hold on every store. */
function withinOneSecond(instance: () => TestedLatchkey): void {
  test("revoking an owner revokes each of its keys, however often owner and keys alternate within a second", async () => {
    const operator = operatorOf(instance());
    const owner = newOwner();
    const keys: string[] = [];
    for (let round = 0; round < 3; round++) {
      const { api_key } = await operator.register({ name: "n", key_type: "basic", owner });
      expect(await admits(instance(), api_key)).toBe(true);
      keys.push(api_key);
      await operator.keys.revokeOwner(owner);
      for (const key of keys) expect(await admits(instance(), key)).toBe("key-revoked");
    }
  });

  test("V1 keys of the current second are revoked with their owner and by the incident switch", async () => {
    const operator = operatorOf(instance());
    const owner = newOwner();
    const imported = `of-another-system-${newSecret()}`;
    await operator.keys.import(JSON.stringify({ api_key: imported, name: "n", role: "basic", owner }));
    expect(await admits(instance(), imported)).toBe(true);
    await operator.keys.revokeOwner(owner);
    expect(await admits(instance(), imported)).toBe("key-revoked");
    const { api_key } = await operator.registerLegacy({ name: "n", key_type: "contributor" });
    expect(await admits(instance(), api_key)).toBe(true);
    await operator.keys.revokeIssuedBefore({ before: now(), role: "contributor" });
    expect(await admits(instance(), api_key)).toBe("key-revoked");
    const later = await operator.registerLegacy({ name: "n", key_type: "contributor" });
    expect(await admits(instance(), later.api_key)).toBe(true);
    const next = await operator.migrate(later.api_key);
    expect(await admits(instance(), next.api_key)).toBe(true);
  });
}

describe("instances of one Redis with different clocks", () => {
  let redis: TestedRedis;
  let [ahead, behind]: TestedLatchkey[] = [];
  let clocks: { readonly ahead: FakeClock; readonly behind: FakeClock };
  const two = () => {
    if (ahead === undefined || behind === undefined) throw new Error("not started");
    return { ahead, behind };
  };

  beforeAll(async () => {
    redis = await startRedis();
    clocks = { ahead: await newFakeClock(60), behind: await newFakeClock(-60) };
    [ahead, behind] = await Promise.all(
      [clocks.ahead, clocks.behind].map((clock) =>
        startLatchkey({ ...env, REDIS_URL: redis.url, ...clock.env }),
      ),
    );
  });
  afterAll(async () => {
    await Promise.all([ahead?.stop(), behind?.stop()]);
    await redis?.stop();
  });

  withinOneSecond(() => two().ahead);

  test("a key of one instance is valid at every instance", async () => {
    for (const maker of [two().ahead, two().behind]) {
      const { api_key } = await operatorOf(maker).register({ name: "n", key_type: "basic" });
      for (const instance of [two().ahead, two().behind]) expect(await admits(instance, api_key)).toBe(true);
    }
  });

  test("an instance whose clock is behind revokes the keys of an instance whose clock is ahead, by owner and by the incident switch", async () => {
    const owner = newOwner();
    const [maker, ender] = [operatorOf(two().ahead), operatorOf(two().behind)];
    const owned = await maker.register({ name: "n", key_type: "basic", owner });
    await ender.keys.revokeOwner(owner);
    const everywhere = async (key: string) => [
      await admits(two().ahead, key),
      await admits(two().behind, key),
    ];
    const ended = ["key-revoked", "key-revoked"];
    await expect.poll(() => everywhere(owned.api_key), { interval: 200 }).toEqual(ended);
    const any = await maker.register({ name: "n", key_type: "contributor" });
    await ender.keys.revokeIssuedBefore({ before: now(), role: "contributor" });
    await expect.poll(() => everywhere(any.api_key), { interval: 200 }).toEqual(ended);
  });

  test("instances restore a Redis key that was evicted", async () => {
    const operator = operatorOf(two().ahead);
    const owner = newOwner();
    const owned = await operator.register({ name: "n", key_type: "basic", owner });
    const alone = await operator.register({ name: "n", key_type: "basic" });
    const ofFamily = await operator.register({ name: "n", key_type: "basic" });
    await operator.keys.revokeOwner(owner);
    await operator.keys.revoke(alone.key_id);
    await operator.revoke(ofFamily.api_key);
    await operator.migration.set("deprecated");
    const names = ["keys:standings", "ended_families", "cut_offs", "migration"].map(
      (name) => `latchkey:${name}`,
    );
    for (const name of names) {
      await redis.cli("DEL", name);
      await expect.poll(() => redis.cli("EXISTS", name), { interval: 50 }).toBe("1");
    }
    const fresh = await startLatchkey({ ...env, REDIS_URL: redis.url });
    for (const { api_key } of [owned, alone, ofFamily])
      expect(await admits(fresh, api_key)).toBe("key-revoked");
    expect((await operatorOf(fresh).migration.show()).phase).toBe("deprecated");
    await operator.migration.set("from-policy");
    await fresh.stop();
  });

  test("a key whose record Redis has lost can be revoked by its holder, its family and its id, and its last use is removed", async () => {
    const operator = operatorOf(two().ahead);
    const [held, ofFamily, byId] = await Promise.all(
      [1, 2, 3].map(() => operator.register({ name: "n", key_type: "basic" })),
    );
    if (held === undefined || ofFamily === undefined || byId === undefined) throw new Error("three");
    for (const { key_id } of [held, ofFamily, byId]) await redis.cli("DEL", `api_key:${key_id}`);
    expect(await admits(two().behind, held.api_key)).toBe(true);
    await operator.revoke(held.api_key);
    const { family } = await operator.introspect(ofFamily.api_key);
    await operator.keys.revokeFamily(String(family));
    await expect(operator.keys.revoke(byId.key_id)).rejects.toMatchObject({ status: 404 });
    await operator.keys.revoke(byId.key_id, { withoutRecord: true });
    const fresh = await startLatchkey({ ...env, REDIS_URL: redis.url });
    for (const { api_key } of [held, ofFamily, byId])
      expect(await admits(fresh, api_key)).toBe("key-revoked");
    await fresh.stop();
  });
});

describe("one instance with its embedded store", () => {
  let clock: FakeClock;
  let latchkey: TestedLatchkey;

  beforeAll(async () => {
    clock = await newFakeClock();
    latchkey = await startLatchkey({ ...env, ...clock.env });
  });
  afterAll(async () => {
    await latchkey?.stop();
  });

  withinOneSecond(() => latchkey);

  test("no key of a revoked owner survives a clock that steps back, at run time or before a start", async () => {
    for (const restarted of [false, true]) {
      const owner = newOwner();
      clock.set(restarted ? -DAY : 0);
      const { api_key } = await operatorOf(latchkey).register({ name: "n", key_type: "basic", owner });
      clock.set(restarted ? -2 * DAY : -DAY);
      if (restarted) {
        await latchkey.stop();
        latchkey = await startLatchkey({ ...env, ...clock.env, DATA_DIR: latchkey.dataDir });
      }
      await operatorOf(latchkey).keys.revokeOwner(owner);
      expect(await admits(latchkey, api_key)).not.toBe(true);
      clock.set(0);
      await latchkey.stop();
      latchkey = await startLatchkey({ ...env, ...clock.env, DATA_DIR: latchkey.dataDir });
      expect(await admits(latchkey, api_key)).toBe("key-revoked");
    }
  });

  test("a clock jump is counted and logged", async () => {
    clock.set(8 * DAY);
    const metrics = async () => (await fetch(`http://${latchkey.ops}/metrics`)).text();
    await admits(latchkey, "x");
    await expect.poll(metrics).toMatch(/^latchkey_clock_jumps_total\{clock="wall"\} 1$/m);
    await expect.poll(latchkey.output).toContain("a clock has jumped");
    clock.set(0);
  });
});
