import { afterEach, expect, test, vi } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { admits } from "../support/admitted.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import { startPartitionable } from "../support/partition.ts";
import { sentinelUrl } from "../support/sentinel.ts";

const WITHIN = { timeout: 60_000, interval: 50 };
const env = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
const endings: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function startInstance(url: string, natMap: string) {
  const latchkey = await startLatchkey({
    ...env,
    REDIS_URL: url,
    REDIS_NAT_MAP: natMap,
    REDIS_COMMAND_TIMEOUT_MS: "500",
  });
  endings.push(() => latchkey.stop());
  const operator = createClient({ url: `http://${latchkey.operator}`, token: env.ADMIN_TOKEN });
  return { latchkey, operator };
}

/** The old primary is killed, or it lives on and becomes a replica, which discards its writes. */
test.each(["SIGKILL", "partition"] as const)(
  "%s: keys that were acknowledged just before a failover, and that no replica has, are listed and can be revoked after it",
  async (kind) => {
    const { primary, relay, replicas, sentinels, natMap, stop } = await startPartitionable();
    endings.push(stop);
    const one = await startInstance(sentinelUrl(sentinels), natMap);
    const two = await startInstance(sentinelUrl(sentinels), natMap);
    const known = await one.operator.register({ name: "known", key_type: "basic" });
    await vi.waitFor(async () => {
      for (const replica of replicas)
        expect(await replica.cli("EXISTS", `api_key:${known.key_id}`)).toBe("1");
    }, WITHIN);

    relay.set({ kind: "black-hole" });
    const [lost, revoked, changed] = [
      await one.operator.register({ name: "lost", key_type: "basic" }),
      await one.operator.register({ name: "revoked", key_type: "basic" }),
      await one.operator.keys.rotate(known.key_id),
    ];
    await two.operator.keys.revoke(revoked.key_id);
    if (kind === "SIGKILL") await primary.stop("SIGKILL");
    const beginMs = performance.now();
    const statuses = async () => {
      const { keys } = await two.operator.keys.list();
      return Object.fromEntries(keys.map(({ key_id, status }) => [key_id, status]));
    };
    await vi.waitFor(async () => {
      const { store } = await two.operator.status();
      expect([store.primary, store.up]).not.toEqual([`127.0.0.1:${primary.port}`, true]);
      expect(await statuses()).toEqual({
        [known.key_id]: "superseded",
        [lost.key_id]: "active",
        [revoked.key_id]: "revoked",
        [changed.key_id]: "active",
      });
    }, WITHIN);
    console.log(`${kind}: entered again ${(performance.now() - beginMs).toFixed(0)} ms after the last write`);
    await two.operator.keys.revoke(lost.key_id);
    for (const { latchkey } of [one, two])
      await vi.waitFor(async () => {
        expect(await admits(latchkey, lost.api_key)).toBe("key-revoked");
        expect(await admits(latchkey, changed.api_key)).toBe(true);
      }, WITHIN);
    const metrics = await readMetrics(one.latchkey.ops);
    expect(metrics.get('latchkey_lost_writes_total{outcome="entered"}')).toBeGreaterThanOrEqual(2);
    expect(metrics.get('latchkey_lost_writes_total{outcome="conflicting"}')).toBe(0);
    expect((await one.operator.status()).store.topology).toBe("sentinel");
  },
);
