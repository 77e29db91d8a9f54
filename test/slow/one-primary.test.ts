import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { check } from "../support/checks.ts";
import { EXT_AUTHZ, startEnvoy } from "../support/envoy.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { endings, startReplicated } from "../support/feed.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startRedis, urlBy } from "../support/redis.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const env = {
  JWT_SECRET: newSecret(),
  KEY_HASH_SECRET: newSecret(),
  ADMIN_TOKEN,
  REDIS_COMMAND_TIMEOUT_MS: "1000",
};

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function startInstance(settings: Readonly<Record<string, string>>, policy?: string) {
  const latchkey = await startLatchkey({ ...env, ...settings }, policy === undefined ? {} : { policy });
  endings.push(() => latchkey.stop());
  const operator = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  const readyz = async () => (await fetch(`http://${latchkey.ops}/readyz`)).json();
  const metrics = async () => (await fetch(`http://${latchkey.ops}/metrics`)).text();
  const validity = (key: string) =>
    operator.validate(key).then(
      () => "valid",
      (error: unknown) => String(Object(error).reason),
    );
  return { latchkey, operator, readyz, metrics, validity };
}

const FENCED = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"];

test("if Redis's address moves while connections stay open, an acknowledged revocation still reaches all instances", async () => {
  const { relay: relayOfA, primary, replica } = await startReplicated();
  const relayOfB = await startFaultRelay(primary.port);
  endings.push(() => relayOfB.close());
  const a = await startInstance({ REDIS_URL: urlBy(relayOfA.port) });
  const b = await startInstance({ REDIS_URL: urlBy(relayOfB.port) });
  const key = await a.operator.register({ name: "n", key_type: "basic" });
  await expect.poll(() => replica.cli("EXISTS", `api_key:${key.key_id}`)).toBe("1");
  await replica.cli("REPLICAOF", "NO", "ONE");
  relayOfA.leadNewTo(replica.port);
  relayOfB.leadTo(replica.port);
  // Of A's connections, only the one that reads the feed reconnects.
  const feed = async () => {
    const lines = (await primary.cli("CLIENT", "LIST")).split("\n");
    return lines.filter((line) => / cmd=xread /.test(line)).map((line) => /^id=(\d+)/.exec(line)?.[1] ?? "");
  };
  await expect.poll(async () => (await feed()).length, { interval: 10 }).toBe(1);
  await primary.cli("CLIENT", "KILL", "ID", (await feed())[0] ?? "");
  const revoke = () =>
    a.operator.keys.revoke(key.key_id).then(
      () => "revoked",
      () => "refused",
    );
  await expect.poll(revoke, { interval: 50 }).toBe("revoked");
  await expect.poll(() => b.validity(key.api_key), { interval: 20 }).toBe("key-revoked");
  // The old primary becomes a replica without a link: A must leave it.
  await primary.cli("REPLICAOF", "127.0.0.1", "1");
  const other = await a.operator.register({ name: "n", key_type: "basic" });
  expect(await b.validity(other.api_key)).toBe("valid");
  const late = await startInstance({ REDIS_URL: replica.url });
  expect(await late.validity(key.api_key)).toBe("key-revoked");
});

test.each(["cut off from its replicas", "demoted, with its link down"])(
  "an instance alone with a primary that is %s becomes stale, and max_staleness applies",
  async (fate) => {
    const { relay, primary, replica } = await startReplicated(FENCED);
    const policy = "faults: { revocations: { max_staleness: 2s, then: deny } }";
    const { operator, readyz, metrics, validity } = await startInstance(
      { REDIS_URL: urlBy(relay.port) },
      policy,
    );
    const { api_key: key } = await operator.register({ name: "n", key_type: "basic" });
    expect(await validity(key)).toBe("valid");
    process.kill(replica.pid, "SIGSTOP");
    if (fate.startsWith("demoted")) await primary.cli("REPLICAOF", "127.0.0.1", "1");
    await expect.poll(() => validity(key)).toBe("revocations-stale");
    expect(await readyz()).toMatchObject({ status: "not_ready", parts: { revocations: "not_ready" } });
    const staleness = Number(/^latchkey_revocation_staleness_seconds (\S+)$/m.exec(await metrics())?.[1]);
    expect(staleness).toBeGreaterThan(2);
    process.kill(replica.pid, "SIGCONT");
    if (fate.startsWith("demoted")) {
      await primary.cli("REPLICAOF", "NO", "ONE");
      await primary.cli("CONFIG", "SET", "min-replicas-to-write", "0");
    }
    await expect.poll(() => validity(key)).toBe("valid");
  },
);

test("REDIS_WAIT_REPLICAS: phases and imports are not acknowledged before a replica has them, nor when they are repeated", async () => {
  const { relay, replica } = await startReplicated();
  const { operator } = await startInstance({ REDIS_URL: urlBy(relay.port), REDIS_WAIT_REPLICAS: "1" });
  const changes = {
    phase: () => operator.migration.set("gradual"),
    import: () =>
      operator.keys.import(
        `${JSON.stringify({ api_key: "old-key-of-another-system", name: "n", role: "basic" })}\n`,
      ),
  };
  process.kill(replica.pid, "SIGSTOP");
  for (const change of Object.values(changes))
    for (const _ of ["first", "repeated"]) await expect(change()).rejects.toMatchObject({ status: 503 });
  process.kill(replica.pid, "SIGCONT");
  for (const change of Object.values(changes))
    await expect
      .poll(() =>
        change().then(
          () => "done",
          () => "refused",
        ),
      )
      .toBe("done");
});

test("a full Redis is an outage like any other: an instance admits its share and reports it", async () => {
  const redis = await startRedis();
  endings.push(() => redis.stop());
  // The store is older than local_max, as in a fleet that has been running for a while.
  await redis.cli("SET", "latchkey:epoch", `epoch ${Date.now() - 3_600_000}`);
  const policy = `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, rate_limits: [{ name: n, per: key, capacity: 100, refill: 1/s }] }
routes: [{ path: /a/**, scopes: [a] }]
faults: { limits: local, local_max: 1m }
`;
  const { latchkey, operator, metrics } = await startInstance({ REDIS_URL: redis.url }, policy);
  const upstream = await startUpstream();
  const envoy = await startEnvoy({
    authzTarget: latchkey.grpc,
    upstreamPort: upstream.port,
    // A busy machine is not a fault.
    edit: (bootstrap) => bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "timeout"], "20s"),
  });
  endings.push(
    () => envoy.stop(),
    () => upstream.stop(),
  );
  const { api_key: key } = await operator.register({ name: "n", key_type: "basic" });
  const { api_key: other } = await operator.register({ name: "n", key_type: "basic" });
  // The bucket exists already, with a lease that will have expired: expiry frees memory.
  expect((await check(envoy, "/a/x", other)).status).toBe(200);
  await redis.cli("CONFIG", "SET", "maxmemory", "1");
  const up = async () => /^latchkey_store_up (\d)$/m.exec(await metrics())?.[1];
  await expect.poll(up).toBe("0");
  await expect.poll(latchkey.output).toContain("Redis does not respond, or accepts no writes");
  const admitted = { key: 0, other: 0 };
  const until = performance.now() + 8000;
  while (performance.now() < until) {
    if ((await check(envoy, "/a/x", key)).status === 200) admitted.key++;
    if ((await check(envoy, "/a/x", other)).status === 200) admitted.other++;
    await pause(50);
  }
  // The share of one instance is the whole refill: one token per second, starting from an empty bucket.
  for (const count of Object.values(admitted)) {
    expect(count).toBeGreaterThanOrEqual(4);
    expect(count).toBeLessThanOrEqual(12);
  }
  expect(await up()).toBe("0");
  await redis.cli("CONFIG", "SET", "maxmemory", "0");
  await expect.poll(up).toBe("1");
  await expect.poll(async () => (await check(envoy, "/a/x", key)).status).toBe(200);
});
