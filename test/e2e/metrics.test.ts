import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import type { FaultRelay } from "../support/fault-relay.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
const POLICY = `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 12h, self_service: true }
  machine: { scopes: [a], ttl: 1d, refresh_window: 12h }
routes: [{ path: /a/**, scopes: [a] }]
`;

let redis: TestedRedis;
let relay: FaultRelay;
let latchkey: TestedLatchkey;

beforeAll(async () => {
  redis = await startRedis();
  relay = await startFaultRelay(redis.port);
  const REDIS_URL = `redis://127.0.0.1:${relay.port}`;
  // A busy machine takes longer than Redis does.
  latchkey = await startLatchkey({ ...env, REDIS_URL, REDIS_COMMAND_TIMEOUT_MS: "500" }, { policy: POLICY });
});

afterAll(async () => {
  await latchkey?.stop();
  await relay?.close();
  await redis?.stop();
});

test("key operations are counted by role, outcome and caller", async () => {
  const operator = createClient({ url: `http://${latchkey.operator}`, token: env.ADMIN_TOKEN });
  const anybody = createClient({ url: `http://${latchkey.http}` });
  const own = await anybody.register({ name: "own", key_type: "basic" });
  const given = await operator.register({ name: "given", key_type: "machine" });
  await operator.keys.rotate(given.key_id);
  await expect(anybody.refresh(own.api_key)).rejects.toMatchObject({ reason: "refresh-too-early" });
  await expect(anybody.refresh("nonsense")).rejects.toMatchObject({ status: 401 });
  await anybody.revoke(own.api_key);
  await operator.keys.revoke(given.key_id);
  await operator.keys.revokeIssuedBefore({ before: "2020-01-01T00:00:00Z" });
  const metrics = await readMetrics(latchkey.ops);
  expect(metrics.get('latchkey_keys_issued_total{role="basic",how="registered"}')).toBe(1);
  expect(metrics.get('latchkey_keys_issued_total{role="machine",how="rotated"}')).toBe(1);
  expect(metrics.get('latchkey_keys_refreshed_total{role="basic",result="refresh_too_early"}')).toBe(1);
  expect(metrics.get('latchkey_keys_refreshed_total{role="none",result="credential_invalid"}')).toBe(1);
  for (const by of ["holder", "operator", "cut_off"])
    expect(metrics.get(`latchkey_keys_revoked_total{by="${by}"}`)).toBe(1);
  expect(metrics.get('latchkey_store_command_duration_seconds_count{command="commit"}')).toBeGreaterThan(4);
  expect(metrics.get('latchkey_store_errors_total{command="commit",kind="timeout"}')).toBe(0);
  expect(metrics.get("latchkey_store_up")).toBe(1);
});

test("/metrics responds and reports the outage while Redis is unreachable, and reports the recovery", async () => {
  relay.set({ kind: "black-hole" });
  await expect.poll(async () => (await readMetrics(latchkey.ops)).get("latchkey_store_up")).toBe(0);
  // None of these responses may wait for a reconnect, which the relay prevents.
  const texts = await Promise.all(Array.from({ length: 50 }, () => readMetrics(latchkey.ops)));
  for (const metrics of texts) expect(metrics.get("latchkey_store_up")).toBe(0);
  const errors = [...(texts[0] ?? [])].filter(
    ([name, value]) => /store_errors_total\{command="heartbeat"/.test(name) && value > 0,
  );
  expect(errors).not.toEqual([]);
  await expect
    .poll(async () => (await readMetrics(latchkey.ops)).get("latchkey_revocation_staleness_seconds"))
    .toBeGreaterThan(1.5);
  relay.set({ kind: "pass" });
  // The bytes that the relay dropped are lost, unlike with real TCP.
  relay.reset();
  await expect.poll(async () => (await readMetrics(latchkey.ops)).get("latchkey_store_up")).toBe(1);
});
