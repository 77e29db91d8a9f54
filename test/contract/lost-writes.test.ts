import { describe, expect, test } from "vitest";
import { freezeRegistry, thawRegistry } from "../../src/core/keys/freeze.ts";
import { changeKey } from "../../src/core/keys/key-administration.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import { revokeFamily, revokeOne, revokeOwner } from "../../src/core/keys/key-revocation.ts";
import { importLegacyKeys } from "../../src/core/legacy/legacy-import.ts";
import { migrateLegacyKey, registerLegacyKey } from "../../src/core/legacy/legacy-keys.ts";
import { setPhase } from "../../src/core/legacy/migration-switch.ts";
import { setOverride } from "../../src/core/overrides/override-administration.ts";
import { createReplicatedUntil } from "../../src/redis/replicated-until.ts";
import { endedIn, readUntilWell, startReplicated, useRedis } from "../support/feed.ts";
import type { TestedRedis } from "../support/redis.ts";
import type { RememberingInstance } from "../support/remembering.ts";
import { admin, startRemembering } from "../support/remembering.ts";

let redis: TestedRedis;
useRedis((started) => {
  redis = started;
});

async function rotated({ registry }: RememberingInstance, { keyId }: KeyRecord): Promise<KeyRecord> {
  const made = await rotateByOperator(registry, keyId, undefined, admin);
  if (made.kind !== "issued") throw new Error(made.reason);
  return made.record;
}

async function lostEvents(instance: RememberingInstance) {
  const events = await instance.auditTrail();
  return events.filter(({ event }) => event === "write_lost").map(({ reason, outcome }) => [reason, outcome]);
}

describe("a promoted replica that was behind its primary", () => {
  test("a key that was registered just before is listed again, and can be revoked", async () => {
    const { relay, replica } = await startReplicated();
    const one = await startRemembering(relay.port);
    const early = await one.register();
    await one.feed.read();
    await expect.poll(() => replica.cli("EXISTS", `api_key:${early.keyId}`)).toBe("1");
    await replica.cli("REPLICAOF", "NO", "ONE");
    const late = await one.register({ owner: "acme" });
    relay.leadTo(replica.port);
    await readUntilWell(one);
    // Without the memory the key would be valid, and known to no operator.
    expect(await one.store.load(late.keyId)).toBeUndefined();
    expect(one.seen.slice(-2)).toEqual(["suspicion", "written back"]);
    expect(await one.enter()).toEqual(["entered"]);
    expect(await one.store.load(late.keyId)).toEqual(late);
    expect(await one.statuses()).toEqual({ [early.keyId]: "active", [late.keyId]: "active" });
    const byOwner = await one.store.page({ of: { owner: "acme" }, limit: 10 });
    expect(byOwner !== "cursor_unknown" && byOwner.entries.map(({ record }) => record)).toEqual([late]);
    expect(await revokeOne(one.registry, late.keyId, admin)).toEqual({ kind: "done", replayed: false });
    expect(await one.statuses()).toMatchObject({ [late.keyId]: "revoked" });
    expect(await lostEvents(one)).toEqual([["key_registered entered", "done"]]);
    expect(await one.enter()).toEqual([]);
  });

  test("an event of another instance in the place of the lost one does not hide the loss", async () => {
    const { relay, replica } = await startReplicated();
    const one = await startRemembering(relay.port);
    await replica.cli("REPLICAOF", "NO", "ONE");
    const late = await one.register();
    const cursor = one.memory.all().at(-1)?.auditCursor ?? "";
    await replica.cli(
      "XADD",
      "latchkey:audit",
      cursor,
      "event",
      '{"eventId":"x","atMs":1,"event":"damaged"}',
    );
    relay.leadTo(replica.port);
    expect(await one.enter()).toEqual(["entered"]);
    expect(await one.store.load(late.keyId)).toEqual(late);
  });
});

describe("what Redis has lost is entered again", () => {
  test("a rotation: the new key, and the old key's successor", async () => {
    const one = await startRemembering(redis.port);
    const old = await one.register();
    const next = await rotated(one, old);
    const before = await one.store.load(old.keyId);
    await redis.cli("FLUSHALL");
    expect(await one.enter()).toEqual(["entered", "entered"]);
    expect([await one.store.load(old.keyId), await one.store.load(next.keyId)]).toEqual([before, next]);
    expect(await one.statuses()).toEqual({ [old.keyId]: "superseded", [next.keyId]: "active" });
  });

  test("a rotation of a key that Redis still has: the old key gets its successor", async () => {
    const { relay, replica } = await startReplicated();
    const one = await startRemembering(relay.port);
    const old = await one.register();
    await expect.poll(() => replica.cli("EXISTS", `api_key:${old.keyId}`)).toBe("1");
    await replica.cli("REPLICAOF", "NO", "ONE");
    const next = await rotated(one, old);
    relay.leadTo(replica.port);
    expect(await one.enter()).toEqual(["entered"]);
    expect(await one.statuses()).toEqual({ [old.keyId]: "superseded", [next.keyId]: "active" });
    expect((await one.store.load(old.keyId))?.successor?.keyId).toBe(next.keyId);
  });

  test("V1 keys: registered, imported and exchanged", async () => {
    const one = await startRemembering(redis.port);
    const issued = await registerLegacyKey(one.registry, { name: "n", role: "basic" }, admin);
    if (issued.kind === "refused") throw new Error(issued.reason);
    await importLegacyKeys(one.registry, [[{ line: 1, key: "im", name: "i", role: "basic" }]], admin, false);
    const exchanged = await migrateLegacyKey(one.registry, issued.key, admin);
    if (exchanged.kind !== "issued") throw new Error(exchanged.reason);
    const found = () => Promise.all(["im", issued.key].map((hash) => one.store.findLegacy([hash])));
    const before = await found();
    await redis.cli("FLUSHALL");
    expect(await found()).toEqual([undefined, undefined]);
    expect(await one.enter()).toEqual(["entered", "entered", "entered"]);
    expect(await found()).toEqual(before);
    expect(await migrateLegacyKey(one.registry, issued.key, admin)).toMatchObject({
      replayed: true,
      record: { keyId: exchanged.record.keyId },
    });
    expect((await one.store.legacyUse("basic", [])).unmigrated.keys).toBe(1);
  });

  test("the call of an Idempotency-Key: a repetition returns the same key", async () => {
    const one = await startRemembering(redis.port);
    const call = { role: "contributor", name: "n", idempotencyKey: "i" };
    const first = await one.register(call);
    await redis.cli("FLUSHALL");
    await one.enter();
    expect(await registerKey(one.registry, call, admin)).toMatchObject({ replayed: true, record: first });
  });

  test("if that key was registered once more meanwhile, both keys are listed, and the call keeps its key", async () => {
    const one = await startRemembering(redis.port);
    const call = { role: "contributor", name: "n", idempotencyKey: "i" };
    const first = await one.register(call);
    await redis.cli("FLUSHALL");
    const again = await (await startRemembering(redis.port)).register(call);
    expect(await one.enter()).toEqual(["entered"]);
    expect(Object.keys(await one.statuses()).sort()).toEqual([first.keyId, again.keyId].sort());
    expect(await registerKey(one.registry, call, admin)).toMatchObject({ record: again });
  });

  test("a key that another instance registered, and that this one handed out once more", async () => {
    const [one, two] = [await startRemembering(redis.port), await startRemembering(redis.port)];
    const call = { role: "contributor", name: "n", idempotencyKey: "i" };
    const made = await one.register(call);
    expect(await registerKey(two.registry, call, admin)).toMatchObject({ replayed: true });
    await redis.cli("FLUSHALL");
    expect(await two.enter()).toEqual(["entered"]);
    expect(await two.store.load(made.keyId)).toEqual(made);
    expect(await two.enter()).toEqual([]);
  });

  test("a self-service key counts against the limit again, and is entered although the limit is reached", async () => {
    const one = await startRemembering(redis.port);
    const origin = { caller: { kind: "anonymous", address: "192.0.2.1" } } as const;
    const register = () => registerKey(one.registry, { role: "basic", name: "n" }, origin);
    for (let at = 0; at < 3; at++) expect(await register()).toMatchObject({ kind: "issued" });
    await redis.cli("FLUSHALL");
    expect(await register()).toMatchObject({ kind: "issued" });
    expect(await one.enter()).toEqual(["entered", "entered", "entered"]);
    expect((await one.store.count(0)).selfService).toBe(4);
    expect(await register()).toMatchObject({ kind: "refused", reason: "too_many_keys" });
  });
});

test("a freeze does not stop what was made before it: keys are entered, and old keys get their successors", async () => {
  const { relay, replica } = await startReplicated();
  const one = await startRemembering(relay.port);
  const old = await one.register();
  await expect.poll(() => replica.cli("EXISTS", `api_key:${old.keyId}`)).toBe("1");
  await replica.cli("REPLICAOF", "NO", "ONE");
  const next = await rotated(one, old);
  const two = await startRemembering(replica.port);
  await freezeRegistry(two.registry, 60, admin);
  relay.leadTo(replica.port);
  expect(await one.enter()).toEqual(["entered"]);
  expect(await one.statuses()).toEqual({ [old.keyId]: "superseded", [next.keyId]: "active" });
  await expect(one.register()).rejects.toThrow("the registry is frozen");
});

describe("a key that has ended since is entered as revoked", () => {
  const ENDS = {
    "its family ended": (by: RememberingInstance, { family }: KeyRecord) =>
      revokeFamily(by.registry, family, admin),
    "its owner was revoked": (by: RememberingInstance, { owner = "" }: KeyRecord) =>
      revokeOwner(by.registry, owner, admin),
    "it was revoked without a record": (by: RememberingInstance, { keyId }: KeyRecord) =>
      revokeOne(by.registry, keyId, admin, true),
  } as const;

  test.each(Object.keys(ENDS) as (keyof typeof ENDS)[])("%s", async (how) => {
    const one = await startRemembering(redis.port);
    const key = await one.register({ owner: "acme" });
    await redis.cli("FLUSHALL");
    const two = await startRemembering(redis.port);
    await ENDS[how](two, key);
    expect(await one.enter()).toEqual(["entered_revoked"]);
    expect((await one.store.load(key.keyId))?.revokedAt).toBeDefined();
    // An instance that starts now knows only what Redis has.
    const late = await startRemembering(redis.port);
    expect(endedIn(late.view, key)).toBe("key_revoked");
    expect(await late.statuses()).toEqual({ [key.keyId]: "revoked" });
  });

  test("a key that was disabled is entered as disabled", async () => {
    const one = await startRemembering(redis.port);
    const key = await one.register();
    await changeKey(one.registry, key.keyId, { disabled: true }, admin);
    await redis.cli("FLUSHALL");
    await one.enter();
    const late = await startRemembering(redis.port);
    expect(endedIn(late.view, key)).toBe("key_disabled");
    expect(await late.statuses()).toEqual({ [key.keyId]: "disabled" });
  });
});

describe("what is not entered again is reported", () => {
  test("a lost revocation was written back, and its audit event is entered", async () => {
    const one = await startRemembering(redis.port);
    const key = await one.register();
    await revokeFamily(one.registry, key.family, admin);
    await setPhase(one.registry, "gradual", admin);
    const before = await one.auditTrail();
    await one.feed.read();
    await redis.cli("FLUSHALL");
    expect(await one.enter()).toEqual(["entered_revoked", "restored", "restored"]);
    const after = await one.auditTrail();
    expect(after.filter(({ event }) => event !== "write_lost")).toEqual(before);
  });

  test("a lost override was written back, and its audit event is entered", async () => {
    const one = await startRemembering(redis.port);
    const subject = { scope: "owner", subject: "acme" } as const;
    expect(await setOverride(one.registry, subject, { content: { plan: "team" } }, admin)).toBe("done");
    await one.feed.read();
    await redis.cli("FLUSHALL");
    expect(await one.enter()).toEqual(["restored"]);
    expect(await redis.cli("HLEN", "latchkey:overrides")).toBe("1");
    expect((await one.auditTrail()).map(({ event }) => event)).toEqual(["limits_set", "write_lost"]);
  });

  test("a freeze and its end are not applied, because a copy relies on them", async () => {
    const one = await startRemembering(redis.port);
    await freezeRegistry(one.registry, 60, admin);
    await thawRegistry(one.registry, admin);
    for (let losses = 0; losses < 2; losses++) {
      await redis.cli("FLUSHALL");
      expect(await one.enter()).toEqual(["not_applied", "not_applied"]);
      expect(await lostEvents(one)).toEqual([
        ["registry_frozen not_applied", "refused"],
        ["registry_thawed not_applied", "refused"],
      ]);
    }
  });

  test("a change of a name is not applied, because a later change may have replaced it", async () => {
    const { relay, replica } = await startReplicated();
    const one = await startRemembering(relay.port);
    const key = await one.register();
    await expect.poll(() => replica.cli("EXISTS", `api_key:${key.keyId}`)).toBe("1");
    await replica.cli("REPLICAOF", "NO", "ONE");
    await changeKey(one.registry, key.keyId, { name: "lost" }, admin);
    relay.leadTo(replica.port);
    expect(await one.enter()).toEqual(["not_applied"]);
    expect((await one.store.load(key.keyId))?.name).toBe("n");
    expect(await lostEvents(one)).toEqual([["key_changed not_applied", "refused"]]);
  });

  test("a key that was rotated both before and after the loss: both new keys are listed", async () => {
    const { relay, replica } = await startReplicated();
    const one = await startRemembering(relay.port);
    const key = await one.register();
    await expect.poll(() => replica.cli("EXISTS", `api_key:${key.keyId}`)).toBe("1");
    await replica.cli("REPLICAOF", "NO", "ONE");
    const lost = await rotated(one, key);
    const two = await startRemembering(replica.port);
    const kept = await rotated(two, key);
    relay.leadTo(replica.port);
    expect(await one.enter()).toEqual(["conflicting"]);
    expect(Object.keys(await one.statuses()).sort()).toEqual([key.keyId, lost.keyId, kept.keyId].sort());
    expect((await one.store.load(key.keyId))?.successor?.keyId).toBe(kept.keyId);
  });

  test("a V1 key that was imported again stays under its new id", async () => {
    const one = await startRemembering(redis.port);
    const importOne = ({ registry }: RememberingInstance) =>
      importLegacyKeys(registry, [[{ line: 1, key: "k", name: "n", role: "basic" }]], admin, false);
    await importOne(one);
    await redis.cli("FLUSHALL");
    const two = await startRemembering(redis.port);
    await importOne(two);
    expect(await one.enter()).toEqual(["conflicting"]);
    expect(Object.keys(await one.statuses())).toEqual([(await two.store.findLegacy(["k"]))?.keyId]);
  });

  test("changes that did not fit into the memory, if those that it has were lost", async () => {
    const one = await startRemembering(redis.port, 5);
    for (let at = 0; at < 8; at++) await one.register();
    await redis.cli("FLUSHALL");
    const outcomes = await one.enter();
    expect([outcomes[0], outcomes.length]).toEqual([3, 6]);
    expect(Object.keys(await one.statuses())).toHaveLength(5);
  });
});

describe("the work can run twice, at once and in parts", () => {
  const trail = async (instance: RememberingInstance) =>
    (await instance.auditTrail()).map(({ eventId }) => eventId);

  test("two instances enter their own keys at once, and each event is there once", async () => {
    const instances = [await startRemembering(redis.port), await startRemembering(redis.port)] as const;
    const call = { role: "contributor", name: "n", idempotencyKey: "i" };
    const made = await Promise.all(instances.map((instance) => instance.register()));
    // Both have handed this one out.
    const shared = await instances[0].register(call);
    await registerKey(instances[1].registry, call, admin);
    const before = await trail(instances[0]);
    await redis.cli("FLUSHALL");
    await Promise.all(instances.map((instance) => instance.enter()));
    const keyIds = [...made, shared].map(({ keyId }) => keyId);
    expect(Object.keys(await instances[0].statuses()).sort()).toEqual(keyIds.sort());
    const after = await trail(instances[0]);
    for (const eventId of before) expect(after.filter((id) => id === eventId)).toHaveLength(1);
    for (const instance of instances) expect(await instance.enter()).toEqual([]);
  });

  test.each(["load", "enter", "commit"] as const)(
    "Redis fails at a call of %s: the next turn continues",
    async (at) => {
      const one = await startRemembering(redis.port);
      const keys = [await one.register(), await one.register(), await one.register()];
      const before = await trail(one);
      await redis.cli("FLUSHALL");
      let calls = 0;
      const failing = one.enter((store) => ({
        ...store,
        [at]: (...args: readonly unknown[]) => {
          if (++calls === 2) throw new Error("away");
          return Reflect.apply(store[at], store, args);
        },
      }));
      await expect(failing).rejects.toThrow("away");
      expect(Object.keys(await one.statuses()).length).toBeLessThan(3);
      await one.enter();
      expect(Object.keys(await one.statuses()).sort()).toEqual(keys.map(({ keyId }) => keyId).sort());
      const after = await trail(one);
      for (const eventId of before) expect(after.filter((id) => id === eventId)).toHaveLength(1);
    },
  );

  test("a key that keeps changing does not hold up the others", async () => {
    const one = await startRemembering(redis.port);
    const keys = [await one.register(), await one.register(), await one.register()];
    await redis.cli("FLUSHALL");
    const busy = one.enter((store) => ({
      ...store,
      enter: async (record, at) =>
        record.keyId === keys[1]?.keyId ? { kind: "conflict" } : store.enter(record, at),
    }));
    await expect(busy).rejects.toThrow("the registry changed during eight attempts");
    const others = [keys[0], keys[2]].map((key) => key?.keyId);
    expect(Object.keys(await one.statuses()).sort()).toEqual(others.sort());
    expect(await one.enter()).toEqual(["entered"]);
    expect(Object.keys(await one.statuses())).toHaveLength(3);
  });

  test("what is entered again is remembered: a second loss is found as well", async () => {
    const one = await startRemembering(redis.port);
    const key = await one.register();
    for (let times = 0; times < 2; times++) {
      await redis.cli("FLUSHALL");
      expect(await one.enter()).toEqual(["entered"]);
      expect(await one.statuses()).toEqual({ [key.keyId]: "active" });
      expect(await lostEvents(one)).toHaveLength(1);
    }
  });

  test("nothing is written if nothing is lost: a gap of the feed, or a restart", async () => {
    const one = await startRemembering(redis.port);
    await one.register();
    await registerLegacyKey(one.registry, { name: "n", role: "basic" }, admin);
    one.feed.suspectLoss();
    await readUntilWell(one);
    const writes = async () =>
      /rdb_changes_since_last_save:(\d+)/.exec(await redis.cli("INFO", "persistence"))?.[1];
    const before = await writes();
    expect(await one.enter()).toEqual([]);
    expect(await writes()).toBe(before);
  });
});

describe("a change is remembered until a replica has it", () => {
  test("the feed reports a time only once a replica has acknowledged what was written before", async () => {
    const { relay, replica } = await startReplicated();
    const one = await startRemembering(relay.port);
    process.kill(replica.pid, "SIGSTOP");
    const beforeMs = performance.now();
    await one.register();
    for (let reads = 0; reads < 5; reads++) await one.feed.read();
    expect(one.replicatedUntilMs()).toBeLessThan(beforeMs);
    process.kill(replica.pid, "SIGCONT");
    const until = async () => {
      await one.feed.read();
      return one.replicatedUntilMs();
    };
    await expect.poll(until).toBeGreaterThan(beforeMs);
  });

  test("without a replica no time is reported, and none of another history", async () => {
    const one = await startRemembering(redis.port);
    await one.register();
    for (let reads = 0; reads < 3; reads++) await one.feed.read();
    expect(one.replicatedUntilMs()).toBe(Number.NEGATIVE_INFINITY);
    const replicated = createReplicatedUntil();
    const state = { runId: "", replicationId: "a", offset: 100, replicaOffset: 90 };
    expect(replicated(state, 1)).toBe(Number.NEGATIVE_INFINITY);
    // The new primary has lost the last ten bytes, and its replica has what it wrote since.
    const promoted = { ...state, replicationId: "b", offset: 120, replicaOffset: 120 };
    expect(replicated(promoted, 2)).toBe(Number.NEGATIVE_INFINITY);
    expect(replicated(promoted, 3)).toBe(2);
  });
});
