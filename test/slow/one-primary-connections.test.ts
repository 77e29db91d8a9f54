import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { followAddress } from "../../src/redis/follow-address.ts";
import { createKeyStore } from "../../src/redis/key-store.ts";
import { endings, newRecord, put, readUntilWell, startInstance, startReplicated } from "../support/feed.ts";
import { startRedis } from "../support/redis.ts";

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const becomesWritten = (at: Parameters<typeof put>[0], record: KeyRecord) =>
  expect
    .poll(() =>
      put(at, record).then(
        () => "written",
        () => "rejected",
      ),
    )
    .toBe("written");

describe("a read from a server that may not be the primary does not count, so staleness grows", () => {
  test("for a server that is cut off from its replicas", async () => {
    const { relay, replica } = await startReplicated([
      "--min-replicas-to-write",
      "1",
      "--min-replicas-max-lag",
      "1",
    ]);
    const { feed } = await startInstance(relay.port);
    process.kill(replica.pid, "SIGSTOP");
    const failure = () => feed.read().then(() => "", String);
    await expect.poll(failure).toContain("cut off from its replicas");
    const stale = feed.stalenessMs();
    await expect(feed.read()).rejects.toThrow();
    expect(feed.stalenessMs()).toBeGreaterThan(stale);
    process.kill(replica.pid, "SIGCONT");
    await readUntilWell({ feed });
    expect(feed.stalenessMs()).toBeLessThan(stale);
  });

  test("for a server that has become a replica, whether or not its link is up", async () => {
    const redis = await startRedis();
    endings.push(() => redis.stop());
    const { feed, client } = await startInstance(redis.port);
    await redis.cli("REPLICAOF", "127.0.0.1", "1");
    await expect(feed.read()).rejects.toThrow();
    const stale = feed.stalenessMs();
    await expect(feed.read()).rejects.toThrow();
    expect(feed.stalenessMs()).toBeGreaterThan(stale);
    // Other commands fail too.
    await expect(client.command("GET", "latchkey:epoch")).rejects.toThrow();
    await redis.cli("REPLICAOF", "NO", "ONE");
    await readUntilWell({ feed });
  });
});

describe("all connections of an instance lead to one server", () => {
  test("when the address has moved and one of them is replaced, the others are too", async () => {
    const { relay, primary, replica } = await startReplicated();
    const one = await startInstance(relay.port);
    await replica.cli("REPLICAOF", "NO", "ONE");
    relay.leadNewTo(replica.port);
    const record = newRecord();
    // The connection that reads the feed. The one that writes stays open.
    one.reading.reconnect();
    await readUntilWell(one);
    await becomesWritten(one, record);
    expect(await replica.cli("EXISTS", `api_key:${record.keyId}`)).toBe("1");
    expect(await primary.cli("EXISTS", `api_key:${record.keyId}`)).toBe("0");
  });

  test("when the address has moved and none of them has ended", async () => {
    const { relay, primary, replica } = await startReplicated();
    const one = await startInstance(relay.port);
    await replica.cli("REPLICAOF", "NO", "ONE");
    const watch = () => followAddress({ ...one.place, commandTimeoutMs: 1000 }, one.client);
    const [record, other] = [newRecord(), newRecord()];
    await watch();
    await put(one, record);
    relay.leadNewTo(replica.port);
    await watch();
    await becomesWritten(one, other);
    await readUntilWell(one);
    const existsAt = (redis: typeof primary) => redis.cli("EXISTS", `api_key:${other.keyId}`);
    expect([await existsAt(primary), await existsAt(replica)]).toEqual(["0", "1"]);
    // An address that leads to a replica is not followed.
    await primary.cli("REPLICAOF", "127.0.0.1", String(replica.port));
    relay.leadNewTo(primary.port);
    await expect(watch()).rejects.toThrow("is a replica");
    await put(one, newRecord());
  });

  test("when a server that is no longer the primary rejects a write", async () => {
    const { relay, primary, replica } = await startReplicated();
    const one = await startInstance(relay.port);
    await replica.cli("REPLICAOF", "NO", "ONE");
    relay.leadNewTo(replica.port);
    await primary.cli("REPLICAOF", "127.0.0.1", String(replica.port));
    const record = newRecord();
    await becomesWritten(one, record);
    expect(await replica.cli("EXISTS", `api_key:${record.keyId}`)).toBe("1");
    await readUntilWell(one);
  });
});

test("REDIS_WAIT_REPLICAS: earlier writes of other connections are awaited too", async () => {
  const { relay, replica } = await startReplicated();
  const [one, two] = [await startInstance(relay.port), await startInstance(relay.port)];
  const storeOf = ({ client }: typeof one) =>
    createKeyStore(client, {
      recordRetentionSeconds: 1,
      waitReplicas: 1,
      replicaTimeoutMs: 200,
      newRandom: randomUUID,
    });
  process.kill(replica.pid, "SIGSTOP");
  const written = await storeOf(one).commit({
    nowSeconds: Math.floor(Date.now() / 1000),
    put: [newRecord()],
    audit: [],
  });
  const confirmed = await storeOf(two).confirm();
  process.kill(replica.pid, "SIGCONT");
  expect([written, confirmed]).toMatchObject([{ durable: false }, false]);
});
