import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { VERSION } from "../../src/config/version.ts";
import { admits } from "../support/admitted.ts";
import { endings, startReplicated } from "../support/feed.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import { runHere } from "../support/program.ts";
import { urlBy } from "../support/redis.ts";

const env = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const WITHIN = { timeout: 60_000, interval: 50 };

const operatorOf = ({ operator }: TestedLatchkey) =>
  createClient({ url: `http://${operator}`, token: env.ADMIN_TOKEN });
const runOn = ({ operator }: TestedLatchkey, ...args: readonly string[]) =>
  runHere(args, { LATCHKEY_URL: `http://${operator}`, LATCHKEY_TOKEN: env.ADMIN_TOKEN });

describe("with the embedded store", () => {
  let latchkey: TestedLatchkey;
  beforeAll(async () => {
    latchkey = await startLatchkey({ ADMIN_TOKEN: env.ADMIN_TOKEN });
  });
  afterAll(() => latchkey?.stop());

  test("the status shows one instance and its store", async () => {
    await operatorOf(latchkey).register({ name: "n", key_type: "basic" });
    const status = await operatorOf(latchkey).status();
    expect(status).toMatchObject({
      instance: { version: VERSION, ready: true, phase: "silent", parts: { instance: "ready" } },
      store: { kind: "embedded", up: true, topology: null, primary: null, failovers: 0 },
      instances: [{ this: true, version: VERSION, phase: "silent" }],
      capacity: { keys: 1, revocations: 0, remembered_changes: 0 },
    });
    expect(status.instance.started_at).toMatch(TIME);
    expect(status.instance.signing_keys).toMatchObject([{ use: "sign" }]);
  });

  test("only an operator that may read keys sees it", async () => {
    const url = `http://${latchkey.operator}/api/admin/status`;
    expect((await fetch(url)).status).toBe(401);
    const { api_key } = await operatorOf(latchkey).register({ name: "n", key_type: "basic" });
    expect((await fetch(url, { headers: { authorization: `Bearer ${api_key}` } })).status).toBe(403);
  });

  test("the command prints it", async () => {
    const { status, stdout } = await runOn(latchkey, "status");
    expect(status).toBe(0);
    expect(stdout).toContain(`instance  ${VERSION}, ready, up for`);
    expect(stdout).toContain("store     embedded, accepts writes");
    expect(stdout).toMatch(/^this +/m);
    const json = await runOn(latchkey, "status", "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({ store: { kind: "embedded" } });
  });
});

describe("with Redis", () => {
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });

  const start = async (port: number) => {
    const latchkey = await startLatchkey({ ...env, REDIS_URL: urlBy(port) });
    endings.push(() => latchkey.stop());
    return latchkey;
  };

  test("a failover that loses a registration: the key is listed again and can be revoked, and the status shows the new primary", async () => {
    const { relay, primary, replica } = await startReplicated();
    const [one, two] = [await start(relay.port), await start(relay.port)];
    const operator = operatorOf(one);
    await vi.waitFor(async () => {
      const { instances, store } = await operator.status();
      expect(instances.map(({ version, phase }) => [version, phase])).toEqual([
        [VERSION, "silent"],
        [VERSION, "silent"],
      ]);
      expect(instances.map((instance) => instance.this)).toEqual([true, false]);
      expect(store).toMatchObject({ topology: "single", up: true, failovers: 0, last_failover_at: null });
    }, WITHIN);
    await expect.poll(() => replica.cli("EXISTS", "latchkey:kids")).toBe("1");
    await replica.cli("REPLICAOF", "NO", "ONE");
    const lost = await operator.register({ name: "lost", key_type: "basic" });
    const rotated = await operator.keys.rotate(lost.key_id);
    relay.leadTo(replica.port);
    await primary.stop("SIGKILL");
    await vi.waitFor(async () => {
      const names = (await operatorOf(two).keys.list()).keys.map(({ key_id, status }) => [key_id, status]);
      expect(names).toEqual([
        [lost.key_id, "superseded"],
        [rotated.key_id, "active"],
      ]);
    }, WITHIN);
    expect(await admits(two, rotated.api_key)).toBe(true);
    await operatorOf(two).keys.revoke(rotated.key_id);
    await vi.waitFor(async () => expect(await admits(one, rotated.api_key)).toBe("key-revoked"), WITHIN);
    const entered = async ({ ops }: TestedLatchkey) =>
      (await readMetrics(ops)).get('latchkey_lost_writes_total{outcome="entered"}');
    await expect.poll(() => entered(one)).toBe(2);
    expect(await entered(two)).toBe(0);
    await expect.poll(one.output).toContain("Redis had lost changes that this instance had made");
    const { events } = await operator.audit();
    expect(events.filter(({ event }) => event === "write_lost")).toHaveLength(2);
    await expect
      .poll(async () => (await operator.status()).store)
      .toMatchObject({
        failovers: 1,
        last_failover_at: expect.stringMatching(TIME),
      });
    await vi.waitFor(async () => {
      const { stdout } = await runOn(one, "status");
      expect(stdout).toMatch(
        /^store {5}Redis \(single\), primary 127\.0\.0\.1:\d+, accepts writes, .*1 failover since the start/m,
      );
      expect(stdout).toMatch(/^other +/m);
    }, WITHIN);
  });

  test("the status is also shown while Redis does not respond", async () => {
    const { relay } = await startReplicated();
    const latchkey = await start(relay.port);
    relay.set({ kind: "refuse" });
    await vi.waitFor(async () => {
      const { store, capacity } = await operatorOf(latchkey).status();
      expect([store.up, capacity.keys]).toEqual([false, null]);
      expect(store.revocation_staleness_seconds).toBeGreaterThan(0.5);
    }, WITHIN);
    expect((await runOn(latchkey, "status")).stdout).toContain("does not accept writes");
    relay.set({ kind: "pass" });
    await vi.waitFor(async () => expect((await operatorOf(latchkey).status()).store.up).toBe(true), WITHIN);
  });
});
