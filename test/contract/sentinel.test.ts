import { once } from "node:events";
import { copyFile } from "node:fs/promises";
import { createServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createRedisTlsReader } from "../../src/config/redis-tls.ts";
import type { RedisAddress } from "../../src/config/redis-url.ts";
import { readRedisUrl } from "../../src/config/redis-url.ts";
import type { RedisOptions } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { followAddress } from "../../src/redis/follow-address.ts";
import { createOneServer } from "../../src/redis/one-server.ts";
import { redisWarnings } from "../../src/redis/warnings.ts";
import { createCa } from "../support/certificates.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { endings, newRecord, put, readUntilWell, revoked, startInstanceAt } from "../support/feed.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedRedis } from "../support/redis.ts";
import { freePort, startRedis, urlBy } from "../support/redis.ts";
import { sentinelUser } from "../support/redis-user.ts";
import type { SentinelSetup } from "../support/sentinel.ts";
import { MASTER, sentinelUrl, startSentinel, startSentinelSetup } from "../support/sentinel.ts";

let setup: SentinelSetup;
beforeAll(async () => {
  setup = await startSentinelSetup();
});
afterAll(() => setup?.stop());
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** `connected` with the port of the server, or the setting that the fault names, or else the fault's message. */
async function outcome(options: Omit<RedisOptions, "commandTimeoutMs">): Promise<string> {
  try {
    const client = await connectRedis({ ...options, commandTimeoutMs: 2000 });
    const info = String(await client.command("INFO", "server"));
    await client.close();
    return `connected to ${/^tcp_port:(\d+)/m.exec(info)?.[1]}`;
  } catch (error) {
    const { rejectedSetting, message } = Object(error);
    return rejectedSetting === undefined ? `may heal: ${message}` : `permanent: ${rejectedSetting}`;
  }
}

function addressOf(url: string): RedisAddress {
  const read = readRedisUrl(url);
  if (!read.ok) throw new Error(read.problem);
  return read.place;
}

/** A server that sends one reply to everything. Returns its port. */
async function startReplying(reply: string): Promise<number> {
  const server = createServer((socket) => {
    socket.on("data", () => socket.write(reply));
    socket.on("error", () => undefined);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  endings.push(async () => {
    server.close();
  });
  return Object(server.address()).port;
}

/** The address of the setup with these Sentinels instead. */
function withSentinels(ports: readonly number[], group = {}): RedisAddress {
  const addresses = ports.map((port) => ({ host: "127.0.0.1", port }));
  return { ...addressOf(setup.url), sentinels: { addresses, master: MASTER, ...group } };
}

const ports = () => setup.sentinels.map(({ port }) => port);
const connected = async () => `connected to ${await setup.primaryPort()}`;

describe("the primary that the Sentinels name", () => {
  test("is found, with some of the Sentinels down, or one that does not respond", async () => {
    expect(await outcome({ url: setup.url })).toBe(await connected());
    const [first = 0] = ports();
    expect(await outcome(withSentinels([await freePort(), await freePort(), first]))).toBe(await connected());
    const relay = await startFaultRelay(first);
    relay.set({ kind: "black-hole" });
    expect(await outcome(withSentinels([relay.port, ...ports()]))).toBe(await connected());
    await relay.close();
  });

  test("is the one that most of them name", async () => {
    const other = await startRedis();
    const liar = await startSentinel(other.port);
    endings.push(() => liar.stop(), other.stop);
    expect(await outcome(withSentinels([liar.port, ...ports()]))).toBe(await connected());
    expect(await outcome(withSentinels([liar.port]))).toBe(`connected to ${other.port}`);
  });

  test("is none while as many Sentinels name another one, which may heal", async () => {
    const other = await startRedis();
    const liar = await startSentinel(other.port);
    endings.push(() => liar.stop(), other.stop);
    const [first = 0] = ports();
    expect(await outcome(withSentinels([liar.port, first]))).toMatch(
      /^may heal: .*the Sentinels disagree about the primary: 127\.0\.0\.1:\d+ and 127\.0\.0\.1:\d+/,
    );
  });

  test.each([
    "*0\r\n",
    "*2\r\n$0\r\n\r\n$1\r\n5\r\n",
    "*2\r\n*0\r\n:5\r\n",
    "*2\r\n$9\r\n127.0.0.1\r\n$8\r\n99999999\r\n",
    ":5\r\n",
  ])("is not named by the malformed reply %j", async (reply) => {
    const broken = await startReplying(reply);
    const two = await startReplying(reply);
    const [first = 0] = ports();
    expect(await outcome(withSentinels([broken, two, first]))).toBe(await connected());
    expect(await outcome(withSentinels([broken]))).toMatch(/^may heal: .*its reply is not an address/);
  });

  test("is reached by the address of the NAT map", async () => {
    const relay = await startFaultRelay(await setup.primaryPort());
    endings.push(relay.close);
    const inside = `127.0.0.1:${await setup.primaryPort()}`;
    const natMap = new Map([[inside, { host: "127.0.0.1", port: relay.port }]]);
    const client = await connectRedis({ ...withSentinels(ports()), natMap, commandTimeoutMs: 2000 });
    relay.set({ kind: "refuse" });
    await expect(client.command("PING")).rejects.toThrow();
    await client.close();
  });

  test("is reached by IPv6", async () => {
    const redis = await startRedis({ args: ["--bind", "127.0.0.1", "::1"] });
    const sentinel = await startSentinel(redis.port, ["bind 127.0.0.1 ::1"], "::1");
    endings.push(() => sentinel.stop(), redis.stop);
    const url = sentinelUrl([0]).replace("127.0.0.1:0", `[::1]:${sentinel.port}`);
    expect(await outcome({ url })).toBe(`connected to ${redis.port}`);
    expect(await outcome({ url: urlBy(redis.port).replace("127.0.0.1", "[::1]") })).toBe(
      `connected to ${redis.port}`,
    );
  });
});

describe("a connection fails with one sentence that says what to check", () => {
  test("if no Sentinel knows the master, which is permanent only if all have said so", async () => {
    const unknown = await outcome(withSentinels(ports(), { master: "other" }));
    expect(unknown).toMatch(/^permanent: REDIS_SENTINEL_MASTER, .* no Sentinel knows the master "other"/);
    const some = withSentinels([...ports(), await freePort()], { master: "other" });
    expect(await outcome(some)).toMatch(/^may heal: no Sentinel names the primary: .*ECONNREFUSED/);
  });

  test("if no Sentinel responds", async () => {
    const [one, two] = [await freePort(), await freePort()];
    const down = await outcome(withSentinels([one, two]));
    expect(down).toMatch(/^may heal: no Sentinel names the primary/);
    for (const port of [one, two]) expect(down).toContain(`127.0.0.1:${port}: connect ECONNREFUSED`);
    const relay = await startFaultRelay(one);
    relay.set({ kind: "black-hole" });
    endings.push(relay.close);
    expect(await outcome(withSentinels([relay.port]))).toMatch(/^may heal: .*respond in time/);
  });

  test("if the Sentinels are none, or the Redis is of another kind", async () => {
    const primary = setup.nodes.get(await setup.primaryPort());
    const { password, username } = addressOf(setup.url);
    const asSentinel = withSentinels([primary?.port ?? 0]);
    expect(await outcome(asSentinel)).toMatch(
      /^permanent: REDIS_SENTINELS or REDIS_URL: .* is not a Sentinel/,
    );
    expect(await outcome({ port: ports()[0] ?? 0 })).toMatch(/^permanent: .*this is a Sentinel; name it in/);
    // The default port of the bus, which is 10,000 above the port, may be in use.
    const args = ["--cluster-enabled", "yes", "--cluster-port", String(await freePort())];
    const cluster = await startRedis({ args });
    endings.push(cluster.stop);
    const node = { port: cluster.port, ...(password && { password }), ...(username && { username }) };
    expect(await outcome(node)).toMatch(
      /^permanent: .*belongs to a Cluster: write redis\+cluster:\/\/ in REDIS_URL/,
    );
    const replica = [...setup.nodes.values()].find(({ port }) => port !== primary?.port);
    expect(await outcome({ url: replica?.url ?? "" })).toBe(
      "may heal: Redis is a replica, and not the primary",
    );
  });

  test("if the credentials are those of other servers", async () => {
    const primary = await setup.primaryPort();
    const password = newSecret();
    const guarded = await startSentinel(primary, [`requirepass ${password}`]);
    endings.push(() => guarded.stop());
    const at = (group: object) => withSentinels([guarded.port], group);
    expect(await outcome(at({ password }))).toBe(await connected());
    const refused =
      /^permanent: REDIS_SENTINEL_PASSWORD or REDIS_SENTINEL_USERNAME: the Sentinel .* does not accept/;
    expect(await outcome(at({}))).toMatch(refused);
    expect(await outcome(at({ password: "wrong" }))).toMatch(refused);
    expect(await outcome(withSentinels(ports(), { password }))).toMatch(
      /^permanent: REDIS_SENTINEL_PASSWORD: a password is given, and the Sentinel .* has none/,
    );
    expect(await outcome({ ...at({ password }), password: "wrong" })).toMatch(
      /^permanent: REDIS_PASSWORD, REDIS_USERNAME or REDIS_URL/,
    );
  });
});

test("a primary that can fail over is warned about, unless it takes no writes without its replicas", async () => {
  const [alone, replicated] = [await startRedis(), await startRedis()];
  const replica = await startRedis({ args: ["--replicaof", "127.0.0.1", String(replicated.port)] });
  endings.push(alone.stop, replicated.stop, replica.stop);
  const warned = async (redis: TestedRedis, address: RedisAddress = {}) => {
    const client = await connectRedis({ url: redis.url, commandTimeoutMs: 2000 });
    const warnings = await redisWarnings(client, address);
    await client.close();
    return warnings.some(({ action }) => action.includes("min-replicas-to-write 1"));
  };
  expect(await warned(alone)).toBe(false);
  expect(await warned(alone, addressOf(setup.url))).toBe(true);
  await expect.poll(() => warned(replicated)).toBe(true);
  await replicated.cli("CONFIG", "SET", "min-replicas-to-write", "1");
  // The replica counts from its first acknowledgement on.
  await expect.poll(() => warned(replicated).catch(String)).toBe(false);
});

test("the ACL that we ship for Sentinels permits exactly what is needed", async () => {
  const password = newSecret();
  const [username, ...rules] = sentinelUser(password);
  const one = await startSentinel(await setup.primaryPort());
  endings.push(() => one.stop());
  const as = { username, password };
  await one.cli("ACL", "SETUSER", "latchkey", ...rules);
  expect(await outcome(withSentinels([one.port], as))).toBe(await connected());
  for (const rule of rules.filter((each) => each.startsWith("+"))) {
    await one.cli("ACL", "SETUSER", "latchkey", "reset", ...rules.filter((other) => other !== rule));
    expect(await outcome(withSentinels([one.port], as))).toMatch(
      /^permanent: REDIS_SENTINEL_USERNAME: the ACL .*deploy\/redis\/sentinel.acl/,
    );
  }
});

test("TLS with both: a private authority and a client certificate, which new connections read again", async () => {
  const [ca, otherCa] = await Promise.all([createCa(), createCa("another authority")]);
  const [server, client] = await Promise.all([ca.issue("redis"), ca.issue("latchkey")]);
  const tlsLines = [
    `tls-cert-file ${server.certFile}`,
    `tls-key-file ${server.keyFile}`,
    `tls-ca-cert-file ${ca.certFile}`,
    "tls-auth-clients yes",
  ];
  const [redisTls, sentinelTls] = [await freePort(), await freePort()];
  const redis = await startRedis({
    args: [`tls-port ${redisTls}`, ...tlsLines].flatMap((line) => `--${line}`.split(" ")),
  });
  const sentinel = await startSentinel(redis.port, [`tls-port ${sentinelTls}`, ...tlsLines]);
  endings.push(() => sentinel.stop(), redis.stop);
  const problems: (string | undefined)[] = [];
  const files = { ca: ca.certFile, cert: client.certFile, key: client.keyFile };
  const base: RedisAddress = {
    ...withSentinels([sentinelTls], { tls: true }),
    tls: true,
    // A Sentinel names the port of clear text unless its replication uses TLS.
    natMap: new Map([[`127.0.0.1:${redis.port}`, { host: "127.0.0.1", port: redisTls }]]),
  };
  const options = { ...base, tlsMaterial: createRedisTlsReader(files, (problem) => problems.push(problem)) };
  const lasting = await connectRedis({ ...options, commandTimeoutMs: 2000 });
  endings.push(lasting.close);
  const good = `connected to ${redis.port}`;
  expect(await outcome(options)).toBe(good);
  expect(await outcome(base)).toMatch(/^permanent: REDIS_SENTINEL_TLS: TLS with the Sentinel .*in REDIS_CA/);
  // Files that cannot be used are reported, and the last usable ones are kept.
  const kept = await createCa("kept");
  await copyFile(ca.certFile, kept.keyFile);
  await copyFile(client.keyFile, ca.certFile);
  expect(await outcome(options)).toBe(good);
  expect(problems).toEqual([expect.stringMatching(/^REDIS_CA: .* is no certificate in PEM$/)]);
  // A changed authority applies to new connections alone.
  await copyFile(otherCa.certFile, ca.certFile);
  expect(await outcome(options)).toMatch(/^permanent: REDIS_SENTINEL_TLS/);
  expect(await lasting.command("PING")).toBe("PONG");
  await copyFile(kept.keyFile, ca.certFile);
  expect(await outcome(options)).toBe(good);
  expect(problems).toEqual([expect.anything(), undefined]);
});

test("after a failover all connections lead to the new primary, and revocations are written back to it", async () => {
  const moved: string[] = [];
  const server = createOneServer((now, before) => {
    moved.push(`${before?.address ?? "none"} to ${now.address} (${now.topology})`);
  });
  const before = await setup.primaryPort();
  const one = await startInstanceAt({ url: setup.url, server });
  await setup.replicated();
  const ended = await revoked(one);
  await one.feed.read();
  await setup.replicated();
  await setup.sentinels[0]?.cli("SENTINEL", "FAILOVER", MASTER);
  const after = await setup.failedOver(before);
  // What the new primary lacks is written back.
  const { keys } = one.client;
  const lost = [keys.standings, keys.ended, keys.key(ended.keyId)];
  await setup.nodes.get(after)?.cli("DEL", ...lost);
  await followAddress({ ...one.place, commandTimeoutMs: 2000 }, one.client);
  await readUntilWell(one);
  await readUntilWell(one);
  expect(moved).toEqual([
    `none to 127.0.0.1:${before} (sentinel)`,
    `127.0.0.1:${before} to 127.0.0.1:${after} (sentinel)`,
  ]);
  expect(one.lost).toEqual([1]);
  await expect.poll(() => put(one, newRecord()).then(() => "written", String)).toBe("written");
  expect(one.client.runId()).toBe(one.reading.runId());
  const other = await startInstanceAt({ url: setup.url, server: createOneServer() });
  expect(other.view.endReason(ended, ended.issuedAt * 1000)).toBe("key_revoked");
});

test("an instance stays connected while all Sentinels are down, and new connections wait for one of them", async () => {
  const one = await startInstanceAt({ url: setup.url, server: createOneServer() });
  await Promise.all(setup.sentinels.map((sentinel) => sentinel.stop("SIGKILL")));
  const follow = followAddress({ ...one.place, commandTimeoutMs: 2000 }, one.client);
  await expect(follow).rejects.toThrow("no Sentinel names the primary");
  await put(one, newRecord());
  await one.feed.read();
});
