import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CopyInterrupted } from "../../src/core/copy/copy.ts";
import { PAGE } from "../../src/core/copy/ports.ts";
import { changeKey } from "../../src/core/keys/key-administration.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { NEVER } from "../../src/core/keys/key-record.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import {
  revokeFamily,
  revokeIssuedBefore,
  revokeOne,
  revokeOwner,
} from "../../src/core/keys/key-revocation.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import { importLegacyKeys } from "../../src/core/legacy/legacy-import.ts";
import type { MigrationStep } from "../../src/core/legacy/migration.ts";
import { setPhase } from "../../src/core/legacy/migration-switch.ts";
import { setOverride } from "../../src/core/overrides/override-administration.ts";
import { restrictionOf } from "../../src/core/revocation/revocation.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { createWriteBack } from "../../src/redis/write-back.ts";
import type { CopySide, UsedStore } from "../support/copied-stores.ts";
import {
  compareBetween,
  copyBetween,
  differences,
  escapedBetween,
  observeStore,
  redisSide,
  sqliteSide,
} from "../support/copied-stores.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRegistry } from "../support/topology.ts";
import { instanceOn } from "./key-store-suite.ts";

const admin = { caller: { kind: "admin", id: "test" } } as const;
const now = () => Math.floor(Date.now() / 1000);
const clock = {
  get nowSeconds() {
    return now();
  },
};

let servers: readonly TestedRedis[];
let clients: readonly RedisClient[];

beforeAll(async () => {
  servers = await Promise.all([startRegistry(), startRegistry()]);
  clients = await Promise.all(
    servers.map((server) => connectRedis({ url: server.url, commandTimeoutMs: 5000 })),
  );
});

afterAll(async () => {
  for (const client of clients ?? []) await client.close();
  for (const server of servers ?? []) await server.stop();
});

/** A new Redis store on one of two servers. */
async function newRedis(which: 0 | 1): Promise<CopySide> {
  await servers[which]?.cli("FLUSHALL");
  const client = clients[which];
  if (client === undefined) throw new Error("no such server");
  return redisSide(client);
}

async function register(registry: Registry, more: object = {}): Promise<KeyRecord> {
  const made = await registerKey(registry, { role: "contributor", name: "x", ...more }, admin);
  if (made.kind !== "issued") throw new Error(made.reason);
  return made.record;
}

/** One key in each state, and every kind of end. */
async function fill(side: CopySide): Promise<void> {
  await side.use(async ({ keys: store }) => {
    const registry = instanceOn(store, clock);
    const issued = now();
    const owned = await register(registry, { owner: "acme", metadata: '{"a":"ü"}' });
    await register(registry, { owner: "umbrella" });
    const [revoked, disabled, enabled, rotated, family] = [
      await register(registry),
      await register(registry),
      await register(registry),
      await register(registry, { ttlSeconds: 3600 }),
      await register(registry, { nets: ["192.0.2.0/24"] }),
    ];
    await importLegacyKeys(
      registry,
      [["one", "two", "three"].map((key, at) => ({ line: at + 1, key, name: key, role: "basic" }))],
      admin,
      false,
    );
    const legacyKeys = await Promise.all(["one", "two"].map((key) => store.findLegacy([key])));
    await revokeOne(registry, revoked.keyId, admin);
    await changeKey(registry, disabled.keyId, { disabled: true }, admin);
    await changeKey(registry, enabled.keyId, { disabled: true }, admin);
    await changeKey(registry, enabled.keyId, { disabled: false, name: "renamed" }, admin);
    await rotateByOperator(registry, rotated.keyId, 60, admin);
    await revokeFamily(registry, family.family, admin);
    await revokeOwner(registry, "umbrella", admin);
    await revokeOne(registry, legacyKeys[0]?.keyId ?? "", admin);
    await revokeOne(registry, "contributor_1_withoutrecord0000000000", admin, true);
    await revokeIssuedBefore(registry, issued - 3600, { role: "node_operator" }, admin);
    await setPhase(registry, "deprecated", admin);
    await setOverride(registry, { scope: "owner", subject: "acme" }, { content: { plan: "team" } }, admin);
    await store.noteUse(new Map([owned.keyId, legacyKeys[1]?.keyId ?? ""].map((keyId) => [keyId, issued])));
    const { keyId: _, ...rest } = owned;
    const expired = { ...rest, keyId: "contributor_1_expired0000000000000000", expiresAt: issued - 60 };
    const removed = { ...expired, keyId: "contributor_1_removed0000000000000000", expiresAt: 60 };
    await store.commit({ nowSeconds: now(), put: [expired, removed], audit: [] });
  });
}

async function expectSame(from: CopySide, to: CopySide): Promise<void> {
  expect(differences(await compareBetween(from, to))).toEqual([]);
  const source = await from.use(observeStore);
  const keys = source.keys.filter(({ record }) => record.expiresAt > 60);
  expect(await to.use(observeStore)).toEqual({
    ...source,
    keys,
    owners: source.owners.map((keyIds) => keyIds.filter((keyId) => !keyId.includes("removed"))),
  });
  expect(keys.map(({ ended }) => ended).filter((ended) => ended !== undefined)).toHaveLength(5);
}

describe.each([
  ["Redis", "Redis", () => newRedis(0), () => newRedis(1)],
  ["Redis", "an embedded store", () => newRedis(0), async () => sqliteSide()],
  ["an embedded store", "Redis", async () => sqliteSide(), () => newRedis(1)],
  ["an embedded store", "another", async () => sqliteSide(), async () => sqliteSide()],
] as const)("from %s to %s", (_from, _to, newSource, newTarget) => {
  test("everything is copied once, and a second copy writes nothing", async () => {
    const [from, to] = [await newSource(), await newTarget()];
    await fill(from);
    await copyBetween(from, to);
    await expectSame(from, to);
    const again = await copyBetween(from, to);
    expect(again.filter(({ written }) => written > 0)).toEqual([]);
    // An instance on the target works on.
    await to.use(async ({ keys: store }) => {
      const record = await register(instanceOn(store, clock));
      const page = await store.page({ limit: 500 });
      expect(page !== "cursor_unknown" && page.entries.at(-1)?.record).toEqual(record);
    });
  });

  test("what changed on the target comes back, and audit events are not doubled", async () => {
    const [from, to] = [await newSource(), await newTarget()];
    await fill(from);
    await copyBetween(from, to);
    await to.use(async ({ keys: store }) => {
      const registry = instanceOn(store, clock);
      const made = await register(registry, { owner: "acme" });
      await changeKey(registry, made.keyId, { name: "changed there" }, admin);
      await revokeFamily(registry, made.family, admin);
      await setPhase(registry, "gradual", admin);
    });
    await copyBetween(to, from);
    expect(differences(await compareBetween(to, from))).toEqual([]);
    await copyBetween(from, to);
    expect(differences(await compareBetween(from, to))).toEqual([]);
    expect(await from.use(async ({ keys }) => (await keys.migration())?.phase)).toBe("gradual");
  });

  test("a revocation of either side wins, and a newer change is never overwritten", async () => {
    const [from, to] = [await newSource(), await newTarget()];
    const [here, there] = await from.use(async ({ keys: store }) => {
      const registry = instanceOn(store, clock);
      return [await register(registry), await register(registry)];
    });
    await copyBetween(from, to);
    if (here === undefined || there === undefined) throw new Error("no keys");
    await from.use(({ keys }) => revokeOne(instanceOn(keys, clock), here.keyId, admin));
    await to.use(async ({ keys }) => {
      const registry = instanceOn(keys, clock);
      await changeKey(registry, here.keyId, { name: "newer" }, admin);
      await changeKey(registry, here.keyId, { name: "newest" }, admin);
      await revokeOne(registry, there.keyId, admin);
    });
    await from.use(({ keys }) => changeKey(instanceOn(keys, clock), there.keyId, { name: "later" }, admin));
    for (const [one, other] of [
      [from, to],
      [to, from],
      [from, to],
    ] as const)
      await copyBetween(one, other);
    expect(differences(await compareBetween(from, to))).toEqual([]);
    for (const side of [from, to])
      await side.use(async (store) => {
        const { keys } = await observeStore(store);
        expect(keys.map(({ ended, record: { name } }) => [ended, name])).toEqual([
          ["key_revoked", "newest"],
          ["key_revoked", "later"],
        ]);
      });
  });

  test("an interrupted copy continues", async () => {
    const [from, to] = [await newSource(), await newTarget()];
    await fill(from);
    let pages = 0;
    for (;;) {
      const pause = ++pages;
      let read = 0;
      const more = { isInterrupted: () => ++read === pause };
      const done = await copyBetween(from, to, more).catch((error: unknown) => error);
      if (!(done instanceof CopyInterrupted)) break;
    }
    expect(pages).toBeGreaterThan(5);
    await expectSame(from, to);
  });

  test("after any page, a target that serves denies every copied key that the source denies", async () => {
    const from = await newSource();
    await fill(from);
    const source = await from.use(observeStore);
    const endOf = new Map(source.keys.map(({ record, ended }) => [record.keyId, ended]));
    let served = 0;
    for (let pages = 1; ; pages++) {
      const to = await newTarget();
      let read = 0;
      const more = { isInterrupted: () => ++read === pages };
      const done = await copyBetween(from, to, more).catch((error: unknown) => error);
      const { keys } = await to.use(observeStore);
      for (const { record, ended } of keys) expect(ended).toBe(endOf.get(record.keyId));
      served += keys.length;
      if (!(done instanceof CopyInterrupted)) break;
    }
    expect(served).toBeGreaterThan(endOf.size);
  });
});

test("more rows than a page, with the same end, are copied completely", async () => {
  const [from, to, back] = [sqliteSide(), await newRedis(0), await newRedis(1)];
  const count = 2 * PAGE + 7;
  const idOf = (at: number) => String(at).padStart(22, "0");
  await from.use(async ({ keys: store }) => {
    const until = now() + 3600;
    for (let at = 0; at < count; at++) {
      const key = {
        kind: "key",
        keyId: `basic_1_${idOf(at)}`,
        version: 1,
        expiresAt: until,
        revoked: true,
        disabled: false,
      } as const;
      const family = { kind: "family", family: `fam_${idOf(at)}`, until } as const;
      const cutOff = { kind: "cutoff", scope: "owner", subject: `o${at}`, before: 1, until } as const;
      for (const end of [key, family, cutOff])
        await store.commit({ nowSeconds: now(), put: [], end, audit: [] });
    }
  });
  for (const [one, other] of [
    [from, to],
    [to, back],
  ] as const) {
    const copied = await copyBetween(one, other);
    expect(copied.filter(({ written }) => written === count)).toHaveLength(3);
    expect(differences(await compareBetween(one, other))).toEqual([]);
  }
});

test("a phase that an operator has chosen counts more than a policy's, and a later choice in the target stays", async () => {
  for (const to of [await newRedis(1), sqliteSide()]) {
    const from = await newRedis(0);
    const phase = () => to.use(async ({ keys }) => (await keys.migration())?.phase);
    await from.use(({ keys }) => setPhase(instanceOn(keys, clock), "removed", admin));
    const later = { phase: "silent", chosen: false, version: Date.now() + 60_000 } as const;
    const migration = { from: undefined, to: later };
    await to.use(({ keys }) => keys.commit({ nowSeconds: now(), put: [], migration, audit: [] }));
    await copyBetween(from, to);
    expect(await phase()).toBe("removed");
    await to.use(({ keys }) => setPhase(instanceOn(keys, clock), "from-policy", admin));
    await copyBetween(from, to);
    expect(await phase()).toBe("silent");
  }
});

test("a phase that a copy has brought follows the source, also back to the policy", async () => {
  for (const to of [await newRedis(1), sqliteSide()]) {
    const from = await newRedis(0);
    const set = (side: CopySide, wanted: Parameters<typeof setPhase>[1]) =>
      side.use(({ keys }) => setPhase(instanceOn(keys, clock), wanted, admin));
    const stored = () => to.use(async ({ keys }) => (await keys.migration()) ?? expect.fail("no phase"));
    await set(from, "removed");
    await copyBetween(from, to);
    await set(from, "from-policy");
    await copyBetween(from, to);
    expect(await stored()).toMatchObject({ phase: "silent", chosen: false });
    expect(differences(await compareBetween(from, to))).toEqual([]);
    // A step of the target's own ends this.
    await set(to, "gradual");
    await set(from, "removed");
    await set(from, "from-policy");
    await copyBetween(from, to);
    expect(await stored()).toMatchObject({ phase: "gradual", chosen: true });
  }
});

test("a copied phase follows a source that has lost its latest step, and numbers the next ones by a clock that is behind", async () => {
  const later = { phase: "removed", chosen: true, deprecatedAt: 1, version: 9000 } as const;
  for (const behind of [{ version: 9000 }, { version: 8000 }]) {
    for (const to of [await newRedis(1), sqliteSide()]) {
      const from = await newRedis(0);
      const step = (migration: MigrationStep) =>
        from.use(({ keys }) => keys.commit({ nowSeconds: now(), put: [], migration, audit: [] }));
      const stored = () => to.use(async ({ keys }) => (await keys.migration()) ?? expect.fail("no phase"));
      await step({ from: undefined, to: later });
      await copyBetween(from, to);
      await servers[0]?.cli("DEL", clients[0]?.keys.migration ?? "");
      await step({ from: undefined, to: { phase: "active", chosen: true, ...behind } });
      await copyBetween(from, to);
      expect(await stored()).toMatchObject({ phase: "active" });
      // Instances ignore a state with an older version.
      expect((await stored()).version).toBeGreaterThan(later.version);
      expect(differences(await compareBetween(from, to))).toEqual([]);
      // A step of the target's own stays.
      await to.use(({ keys }) => setPhase(instanceOn(keys, clock), "gradual", admin));
      await copyBetween(from, to);
      expect(await stored()).toMatchObject({ phase: "gradual" });
    }
  }
});

test("a key that was refreshed in the target after a revocation in the source is found until it is revoked there", async () => {
  for (const to of [await newRedis(1), sqliteSide()]) {
    const from = await newRedis(0);
    const issuedAt = now() - 100;
    const revoked = await from.use(async ({ keys }) => {
      const registry = instanceOn(keys, clock);
      const [one, other] = [await register(registry), await register(registry)];
      const older = [one, other].map((record) => ({ ...record, owner: "acme", issuedAt, version: 2 }));
      await keys.commit({ nowSeconds: now(), put: older, audit: [] });
      // Its successor is dated after the cut-off in the source too.
      await rotateByOperator(registry, other.keyId, 3600, admin);
      return one;
    });
    await copyBetween(from, to);
    const end = { kind: "cutoff", scope: "owner", subject: "acme", before: issuedAt + 50 } as const;
    const until = revoked.expiresAt;
    await from.use(({ keys }) =>
      keys.commit({ nowSeconds: now(), put: [], end: { ...end, until }, audit: [] }),
    );
    expect(await escapedBetween(from, to)).toEqual([]);
    const escaped = await to.use(async ({ keys }) => {
      const made = await rotateByOperator(instanceOn(keys, clock), revoked.keyId, 3600, admin);
      return made.kind === "issued" ? made.record.keyId : expect.fail(made.reason);
    });
    await copyBetween(from, to);
    const found = { keyId: escaped, cutOff: expect.objectContaining({ scope: "owner", subject: "acme" }) };
    expect(await escapedBetween(from, to)).toEqual([found]);
    await to.use(({ keys }) => revokeOwner(instanceOn(keys, clock), "acme", admin));
    expect(await escapedBetween(from, to)).toEqual([]);
  }
});

test("a V1 key that is revoked in the source, and has another id in the target, is a conflict that says so", async () => {
  const entry = { line: 1, key: "one", name: "one", role: "basic" };
  const importOne = ({ keys }: UsedStore) =>
    importLegacyKeys(instanceOn(keys, clock), [[entry]], admin, false);
  for (const to of [await newRedis(1), sqliteSide()]) {
    const from = await newRedis(0);
    await Promise.all([from.use(importOne), to.use(importOne)]);
    const revoke = async ({ keys }: UsedStore) => {
      const keyId = (await keys.findLegacy(["one"]))?.keyId ?? "";
      await revokeOne(instanceOn(keys, clock), keyId, admin);
      return keyId;
    };
    const keyId = await from.use(revoke);
    const copied = await copyBetween(from, to);
    expect(copied.flatMap(({ conflicts }) => conflicts)).toEqual([{ keyId, isRevoked: true }]);
  }
});

test("the end of an overlap that an instance has written back, and that the record does not know, is copied", async () => {
  const from = await newRedis(0);
  const record = await from.use(({ keys }) => register(instanceOn(keys, clock)));
  const restriction = { ...restrictionOf(record), version: Date.now(), notAfter: now() - 1 };
  if (clients[0] === undefined) throw new Error("no client");
  await createWriteBack(clients[0])([restriction]);
  for (const to of [await newRedis(1), sqliteSide()]) {
    const missing = (await compareBetween(from, to)).filter((kind) => kind.missing > 0);
    expect(missing.map(({ name }) => name)).toContain("key ends not in the records");
    await copyBetween(from, to);
    expect(differences(await compareBetween(from, to))).toEqual([]);
    expect((await to.use(observeStore)).keys.map(({ ended }) => ended)).toEqual(["key_superseded"]);
  }
});

test("a record that an instance of the target changes meanwhile is not overwritten", async () => {
  const from = await newRedis(0);
  const { keyId } = await from.use(({ keys }) => register(instanceOn(keys, clock)));
  for (const to of [await newRedis(1), sqliteSide()]) {
    await copyBetween(from, to);
    const [read] = await to.copy((store) => collect(store.rows.keys.pages()));
    if (read === undefined) throw new Error("no key");
    await to.use(({ keys }) => revokeOne(instanceOn(keys, clock), keyId, admin));
    const row = { record: { ...read.record, name: "older", version: 9 } };
    expect(await to.copy((store) => store.rows.keys.put([{ row, replaced: read }]))).toEqual(["changed"]);
    expect(await to.use(async ({ keys }) => (await keys.load(keyId))?.revokedAt)).toBeDefined();
  }
});

async function collect<Row>(pages: AsyncIterable<readonly Row[]>): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for await (const page of pages) rows.push(...page);
  return rows;
}

test("an event that is in an audit log is not logged again, and no other event is left out", async () => {
  const sides = [
    [await newRedis(0), sqliteSide()],
    [sqliteSide(), await newRedis(1)],
  ] as const;
  for (const [from, to] of sides) {
    const changes = ({ keys }: UsedStore) => register(instanceOn(keys, clock)).then(({ keyId }) => keyId);
    const claim = ({ audit }: UsedStore) => audit.claim(100);
    await from.use(changes);
    await from.use(async (store) => store.audit.done((await claim(store)).map(({ cursor }) => cursor)));
    const unlogged = await from.use(changes);
    await copyBetween(from, to);
    expect((await to.use(claim)).map(({ event }) => event.keyId)).toEqual([unlogged]);
    expect(await to.use(({ audit }) => audit.read({ limit: 9 }))).toHaveLength(2);
  }
});

test("the last instant of V1 keys that never expire is copied with them", async () => {
  const [from, to] = [sqliteSide(), await newRedis(1)];
  await fill(from);
  await copyBetween(from, to);
  expect(
    Number(await servers[1]?.cli("ZCOUNT", clients[1]?.keys.byEnd ?? "", String(NEVER), String(NEVER))),
  ).toBe(3);
});
