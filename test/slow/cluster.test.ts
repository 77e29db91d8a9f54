import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { createCa } from "../support/certificates.ts";
import type { ClusterSetup } from "../support/cluster.ts";
import { REGISTRY_SLOT, startCluster, startClusterNode } from "../support/cluster.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { launchLatchkey, startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import { freePort } from "../support/redis.ts";

const ADMIN_TOKEN = newSecret();
const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN };
let setup: ClusterSetup;
beforeAll(async () => {
  setup = await startCluster();
});
afterAll(() => setup?.stop());

async function registersAndRevokes({ operator }: Pick<TestedLatchkey, "operator">): Promise<void> {
  const client = createClient({ url: `http://${operator}`, token: ADMIN_TOKEN });
  const { api_key, key_id } = await client.register({ name: "n", key_type: "basic" });
  await client.keys.revoke(key_id);
  await expect(client.validate(api_key)).rejects.toMatchObject({ reason: "key-revoked" });
}

test("by the single settings, as the user that we ship: all calls work, and the metrics name the topology", async () => {
  const { username, password } = new URL(setup.url.replace(/^(.*@[^,]*).*/, "$1").replace("+cluster", ""));
  const latchkey = await startLatchkey({
    ...env,
    REDIS_CLUSTER: "true",
    REDIS_HOST: [...setup.nodes.keys()].map((port) => `127.0.0.1:${port}`).join(","),
    REDIS_USERNAME: username,
    REDIS_PASSWORD: decodeURIComponent(password),
  });
  try {
    await registersAndRevokes(latchkey);
    const client = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    const { key_id } = await client.register({ name: "n", key_type: "basic" });
    // Limits are read and reset on the node of the key's buckets.
    expect((await client.limits.show(key_id)).limits.length).toBeGreaterThan(0);
    await client.limits.reset(key_id);
    const registry = await setup.primaryOf(REGISTRY_SLOT);
    expect(await registry.cli("--scan", "--pattern", "api_key:*")).toContain(key_id);
    const metrics = await readMetrics(latchkey.ops);
    const info = `latchkey_redis_primary_info{topology="cluster",address="127.0.0.1:${registry.port}"}`;
    expect([metrics.get(info), metrics.get("latchkey_redis_uncovered_slots")]).toEqual([1, 0]);
    const readyz = await fetch(`http://${latchkey.ops}/readyz`);
    const redis = { topology: "cluster", address: `127.0.0.1:${registry.port}` };
    expect([readyz.status, await readyz.json()]).toEqual([200, expect.objectContaining({ redis })]);
    expect(latchkey.output()).not.toContain(decodeURIComponent(password));
  } finally {
    await latchkey.stop();
  }
});

test("a single Redis behind the URL of a Cluster, and a Cluster behind the URL of a single Redis, end the start", async () => {
  const [node] = setup.nodes.values();
  await expect(startLatchkey({ ...env, REDIS_URL: node?.url ?? "" })).rejects.toThrow(
    /exit code 1\b[\s\S]*this Redis belongs to a Cluster: write redis\+cluster:\/\//,
  );
  await expect(startLatchkey({ ...env, REDIS_URL: `${setup.url}/1` })).rejects.toThrow(
    "REDIS_URL names database 1, and a Cluster has only database 0",
  );
});

test("a start waits for a Cluster whose slots are not covered", async () => {
  const node = await startClusterNode({ args: ["--cluster-require-full-coverage", "no"] });
  await node.cli("CLUSTER", "DELSLOTS", "7");
  const latchkey = await launchLatchkey({ ...env, REDIS_URL: node.url });
  try {
    await expect
      .poll(latchkey.readyz, { interval: 20 })
      .toMatchObject({ status: 503, parts: { instance: "waiting" } });
    await expect.poll(latchkey.output).toContain("1 slots of the Cluster have no primary that works");
    await node.cli("CLUSTER", "ADDSLOTS", "7");
    await expect.poll(latchkey.readyz, { interval: 20 }).toMatchObject({ status: 200 });
  } finally {
    await latchkey.stop();
    await node.stop();
  }
});

test("TLS with a private authority and a client certificate", async () => {
  const ca = await createCa();
  const [server, client] = await Promise.all([ca.issue("redis"), ca.issue("latchkey")]);
  const port = await freePort();
  const files = ["--tls-cert-file", server.certFile, "--tls-key-file", server.keyFile];
  // A node names its port with TLS only if the Cluster uses TLS itself.
  const node = await startClusterNode({
    args: ["--tls-port", String(port), ...files, "--tls-ca-cert-file", ca.certFile, "--tls-cluster", "yes"],
  });
  const latchkey = await startLatchkey({
    ...env,
    REDIS_URL: node.url.replace("redis+", "rediss+").replace(String(node.port), String(port)),
    REDIS_CA: ca.certFile,
    REDIS_CERT: client.certFile,
    REDIS_KEY: client.keyFile,
  });
  try {
    await registersAndRevokes(latchkey);
  } finally {
    await latchkey.stop();
    await node.stop();
  }
});
