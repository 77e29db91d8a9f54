import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import type { InstanceView } from "../../src/core/revocation/instance-view.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import type { LostWriteWatcher } from "../../src/redis/feed-position.ts";
import { createKeyStore } from "../../src/redis/key-store.ts";
import type { OneServer } from "../../src/redis/one-server.ts";
import { createOneServer } from "../../src/redis/one-server.ts";
import { createRevocationFeed } from "../../src/redis/revocation-feed.ts";
import type { FaultRelay } from "./fault-relay.ts";
import { startFaultRelay } from "./fault-relay.ts";
import type { TestedRedis } from "./redis.ts";
import { startRedis, urlBy } from "./redis.ts";

export const NOW = Math.floor(Date.now() / 1000);
/** The present time: a store rejects a change with another time. */
export const nowSeconds = () => Math.floor(Date.now() / 1000);
/** The resources of the running test, closed after it in reverse order. */
export const endings: (() => Promise<unknown>)[] = [];

/** Starts a Redis before the tests of a file. It is empty before each test, and what the test opened is closed after it. */
export function useRedis(onStarted: (redis: TestedRedis) => void): void {
  let redis: TestedRedis | undefined;
  beforeAll(async () => {
    redis = await startRedis();
    onStarted(redis);
  });
  afterAll(async () => {
    await redis?.stop();
  });
  beforeEach(() => redis?.cli("FLUSHALL"));
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });
}

/** Disables one rule of the feed, to show what the rule is for. */
export interface LeaveOut {
  readonly view: (view: InstanceView) => InstanceView;
  readonly reading: (client: RedisClient) => RedisClient;
  readonly mayWriteBack?: () => boolean;
  readonly lostWrites?: LostWriteWatcher;
}

export const NOTHING: LeaveOut = { view: (view) => view, reading: (client) => client };

/** One instance: its view, its feed, which the test reads, and a store to change keys. */
export function startInstance(
  port: number,
  leaveOut: LeaveOut = NOTHING,
  start?: { readonly reads: boolean },
) {
  return startInstanceAt({ url: urlBy(port), server: createOneServer() }, leaveOut, start);
}

export async function startInstanceAt(
  place: { readonly url: string; readonly server: OneServer },
  leaveOut: LeaveOut = NOTHING,
  start = { reads: true },
) {
  const client = await connectRedis({ ...place, commandTimeoutMs: 1000 });
  const connected = await connectRedis({ ...place, commandTimeoutMs: 1500 });
  const reading = leaveOut.reading(connected);
  for (const one of [client, connected]) one.finishStartup();
  endings.push(client.close, connected.close);
  const view = leaveOut.view(createInstanceView());
  const lost: number[] = [];
  const filled: string[] = [];
  const missed: string[] = [];
  const feed = createRevocationFeed({
    reading,
    blockMs: 50,
    view,
    monotonicMs: () => performance.now(),
    onEntry: (entry) => void filled.push(entry.kind),
    onGap: async () => void missed.push("missed"),
    onDataLoss: () => void lost.push(1),
    mayWriteBack: leaveOut.mayWriteBack ?? (() => true),
    ...(leaveOut.lostWrites && { lostWrites: leaveOut.lostWrites }),
  });
  const store = createKeyStore(client, {
    recordRetentionSeconds: 86_400,
    waitReplicas: 0,
    replicaTimeoutMs: 100,
    newRandom: randomUUID,
  });
  if (start.reads) await feed.read();
  return { place, client, reading: connected, view, feed, store, lost, filled, missed };
}

export type Instance = Awaited<ReturnType<typeof startInstance>>;

export function newRecord(): KeyRecord {
  const id = randomUUID().replaceAll("-", "").slice(0, 22);
  return {
    keyId: `basic_${NOW}_${id}`,
    family: `fam_${id}`,
    familyStartedAt: NOW,
    role: "basic",
    scopes: [],
    name: "n",
    issuedAt: NOW,
    expiresAt: NOW + 3600,
    refreshAfter: NOW + 1800,
    selfService: false,
    disabled: false,
    version: 1,
  };
}

let lastChangeMs = 0;

/** The record's next state, as the registry writes it: later than all earlier changes. */
export function changed(record: KeyRecord, change: Partial<KeyRecord>): KeyRecord {
  lastChangeMs = Math.max(lastChangeMs + 1, Date.now());
  return { ...record, ...change, version: record.version + 1, changedAt: lastChangeMs };
}

export async function put({ store }: Instance, record: KeyRecord): Promise<KeyRecord> {
  const outcome = await store.commit({ nowSeconds: nowSeconds(), put: [record], audit: [] });
  expect(outcome.kind).toBe("committed");
  return record;
}

export async function revoked(instance: Instance): Promise<KeyRecord> {
  const record = await put(instance, newRecord());
  return put(instance, { ...record, version: 2, revokedAt: NOW });
}

export function endedIn(view: InstanceView, record: KeyRecord) {
  return view.endReason(record, NOW * 1000);
}

/** Reads until the feed is complete: an outage may take a few attempts to end. */
export async function readUntilWell({ feed }: Pick<Instance, "feed">): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    try {
      await feed.read();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error("the feed did not heal");
}

/** Bytes that the primary has written and its replica has not acknowledged. */
function unacknowledged(info: string): number {
  const written = Number(/master_repl_offset:(\d+)/.exec(info)?.[1]);
  return written - Number(/slave0:.*offset=(\d+)/.exec(info)?.[1]);
}

/** A primary with a replica, behind a relay that leads to the primary at first. */
export async function startReplicated(args: readonly string[] = []): Promise<{
  readonly relay: FaultRelay;
  readonly primary: TestedRedis;
  readonly replica: TestedRedis;
}> {
  const primary = await startRedis({ args: ["--repl-diskless-sync-delay", "0", ...args] });
  const replica = await startRedis({ args: ["--replicaof", "127.0.0.1", String(primary.port)] });
  const relay = await startFaultRelay(primary.port);
  endings.push(
    () => primary.stop(),
    () => replica.stop(),
    () => relay.close(),
  );
  await expect.poll(() => primary.cli("INFO", "replication")).toContain("state=online");
  // The replica may still be loading what it received.
  await expect.poll(() => replica.cli("INFO", "replication")).toContain("master_link_status:up");
  // The primary counts it from its first acknowledgement on, which the replica repeats only once per second.
  await primary.cli("SET", "acknowledged", "1");
  await expect.poll(async () => unacknowledged(await primary.cli("INFO", "replication"))).toBe(0);
  return { relay, primary, replica };
}

/** The primary is lost with its last writes, while an instance already used the replica. */
export async function failover(
  early: (elsewhere: Instance, record: KeyRecord) => Promise<void>,
  last: (one: Instance, record: KeyRecord) => Promise<void>,
) {
  const { relay, replica } = await startReplicated();
  const one = await startInstance(relay.port);
  const record = await put(one, newRecord());
  await one.feed.read();
  await expect.poll(() => replica.cli("EXISTS", `api_key:${record.keyId}`)).toBe("1");
  await replica.cli("REPLICAOF", "NO", "ONE");
  await last(one, record);
  await one.feed.read();
  relay.leadTo(replica.port);
  const elsewhere = await startInstance(replica.port);
  await early(elsewhere, record);
  await readUntilWell(one);
  await readUntilWell(one);
  await readUntilWell(elsewhere);
  return { one, elsewhere, record, replica };
}
