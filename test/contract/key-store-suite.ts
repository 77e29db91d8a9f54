import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Issued } from "../../src/core/keys/issued-key.ts";
import { changeKey, showKey } from "../../src/core/keys/key-administration.ts";
import type { KeyChange } from "../../src/core/keys/key-change.ts";
import type { KeyFilter } from "../../src/core/keys/key-filter.ts";
import { countKeys, listKeys } from "../../src/core/keys/key-listing.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import type { Registration } from "../../src/core/keys/key-registration.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { refreshByHolder, rememberReuse, rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import {
  revokeByHolder,
  revokeFamily,
  revokeIssuedBefore,
  revokeOne,
  revokeOwner,
} from "../../src/core/keys/key-revocation.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import type { KeyStore } from "../../src/core/keys/ports.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import type { DeniedOperation } from "../../src/core/keys/registry-denial.ts";
import { createMigration } from "../../src/core/legacy/migration.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import { parsedPolicy } from "../support/parsed-policy.ts";

/** A store's own test file implements this for the suite. */
export interface StoreUnderTest {
  /** Returns the same store within one test. It starts empty. */
  readonly open: () => Promise<KeyStore>;
  /** The store's own clock, which is constant until it is set. */
  readonly clock: { nowSeconds: number };
  /** Every audit event in the order of writing. */
  readonly auditTrail: () => Promise<readonly unknown[]>;
  /** All entries of a key in the store, by raw access. */
  readonly traces: (keyId: string) => Promise<readonly string[]>;
}

/** A clock that reports each new time. */
export function settableClock(
  firstSeconds: number,
  set: (nowSeconds: number) => void = () => undefined,
): StoreUnderTest["clock"] {
  let seconds = firstSeconds;
  set(seconds);
  return {
    get nowSeconds() {
      return seconds;
    },
    set nowSeconds(next) {
      seconds = next;
      set(next);
    },
  };
}

export const START = 1_800_000_000;
const DAY = 86_400;
const RETENTION = 7 * DAY;
const admin: CallOrigin = { caller: { kind: "admin", id: "test" } };
const anonymous: CallOrigin = { caller: { kind: "anonymous", address: "192.0.2.1" } };

/** An instance with its own view and clock, on a store that other instances can share. */
export function instanceOn(store: KeyStore, clock: { nowSeconds: number }): Registry {
  const policy = parsedPolicy(
    [
      "guards: { self_service_keys: 3 }",
      "plans: { team: { rate_limits: [] } }",
      "console: { holders: { owner: sub, roles: [contributor], max_keys: 2 } }",
    ].join("\n"),
  );
  const migration = createMigration();
  return {
    store,
    migration,
    legacy: {
      newKey: () => `v1 ${counter++}`,
      isPlausible: () => true,
      storedForm: (key) => ({ hash: key, alias: `of ${key}` }),
      hashes: (key) => [key, `of ${key}`],
      hashOfDigest: (hex) => `of ${hex}`,
    },
    onFeedEntry(entry) {
      if (entry.kind === "phase") migration.applyState(entry.state);
    },
    view: createInstanceView(),
    signer: { sign: async (record) => `token of ${record.keyId}` },
    policy: () => policy,
    nowMs: () => clock.nowSeconds * 1000,
    auditedReuse: rememberReuse(() => 0),
    storeClock: { storeNowMs: () => clock.nowSeconds * 1000, applyStoreTime: () => undefined },
    newRandom: () => `${process.pid}x${(counter++).toString(36)}`.padStart(22, "0"),
    digest: (text) => `digest of ${text}`,
  };
}
let counter = 0;

function mustIssue(result: Issued | DeniedOperation): KeyRecord {
  if (result.kind === "refused") throw new Error(result.reason);
  return result.record;
}

const contributor: Registration = { role: "contributor", name: "test" };

/** The guarantees of every key store. */
export function keyStoreSuite(setUp: () => Promise<StoreUnderTest>): void {
  const begin = async () => {
    const under = await setUp();
    const store = await under.open();
    const { clock } = under;
    return { under, store, clock, registry: instanceOn(store, clock) };
  };
  const register = async (registry: Registry, more: Partial<Registration> = {}) =>
    mustIssue(await registerKey(registry, { ...contributor, ...more }, admin));

  describe("a change", () => {
    test("stores the record as it was written, with an audit event", async () => {
      const { registry, store, under } = await begin();
      const record = await register(registry, {
        owner: "acme",
        metadata: '{"a":"ü"}',
        ttlSeconds: 3600,
        name: "Zoë",
        nets: ["192.0.2.0/24", "2001:db8::/32"],
        certificate: "A".repeat(43),
      });
      expect(await store.load(record.keyId)).toEqual(record);
      expect(await under.auditTrail()).toEqual([
        expect.objectContaining({
          event: "key_registered",
          outcome: "done",
          keyId: record.keyId,
          actor: "admin:test",
        }),
      ]);
    });

    test("passes the binding of a key on to its successors", async () => {
      const { registry, store, clock } = await begin();
      const binding = { nets: ["192.0.2.0/24"], certificate: "A".repeat(43) };
      const record = await register(registry, binding);
      clock.nowSeconds = record.refreshAfter;
      const holder = { ...record, principal: record };
      const next = mustIssue(await refreshByHolder(registry, holder, undefined, anonymous));
      const last = mustIssue(await rotateByOperator(registry, next.keyId, undefined, admin));
      for (const { keyId } of [next, last]) expect(await store.load(keyId)).toMatchObject(binding);
    });

    test("passes the plan of a key on to its successors, and audits it; a key without a plan gets none", async () => {
      const { registry, store, clock, under } = await begin();
      const records = [await register(registry, { plan: "team" }), await register(registry)];
      clock.nowSeconds = records[0]?.refreshAfter ?? 0;
      for (const [at, record] of records.entries()) {
        const plan = at === 0 ? "team" : undefined;
        const holder = { ...record, principal: record };
        const next = mustIssue(await refreshByHolder(registry, holder, undefined, anonymous));
        const last = mustIssue(await rotateByOperator(registry, next.keyId, undefined, admin));
        for (const { keyId } of [record, next, last])
          expect([at, (await store.load(keyId))?.plan]).toEqual([at, plan]);
      }
      const planned = (await under.auditTrail()).map((event) => Object(event).plan);
      expect(planned).toEqual(["team", undefined, "team", "team", undefined, undefined]);
    });

    test("of a family without an owner fails after the end of its owner, which is the family itself", async () => {
      const { registry, store, clock } = await begin();
      const record = await register(registry);
      await revokeOwner(registry, record.family, admin);
      clock.nowSeconds = record.refreshAfter;
      const unaware = instanceOn(store, clock);
      const holder = { ...record, principal: record };
      expect(await refreshByHolder(unaware, holder, undefined, anonymous)).toEqual({
        kind: "refused",
        reason: "key_revoked",
      });
      expect(unaware.view.endReason(record, START * 1000)).toBe(undefined);
      expect(registry.view.endReason(record, START * 1000)).toBe("key_revoked");
    });

    test("is listed by its owner, which is its family if none is set", async () => {
      const { registry } = await begin();
      const own = await register(registry);
      const given = await register(registry, { owner: own.family });
      const owned = await register(registry, { owner: "acme" });
      const listed = async (owner: string) => {
        const page = await listKeys(registry, { owner }, { limit: 10 });
        return page === "cursor_unknown" ? page : page.views.map(({ record }) => record.keyId);
      };
      expect(await listed(own.family)).toEqual([own.keyId, given.keyId]);
      expect(await listed("acme")).toEqual([owned.keyId]);
      expect(await listed(owned.family)).toEqual([]);
    });

    test("that was made before writes nothing, even on an instance that has not read it yet", async () => {
      const { registry, store, clock, under } = await begin();
      const record = await register(registry);
      const end = async (by: Registry) => {
        await revokeFamily(by, record.family, admin);
        await revokeOwner(by, "acme", admin);
        await revokeIssuedBefore(by, START, { role: "basic" }, admin);
        await revokeOne(by, record.keyId, admin);
        await revokeByHolder(by, { ...record }, anonymous);
      };
      await end(registry);
      const trail = await under.auditTrail();
      expect(trail).toHaveLength(5);
      const other = instanceOn(store, clock);
      await end(other);
      expect(await under.auditTrail()).toEqual(trail);
      expect(other.view.endReason(record, START * 1000)).toBe("key_revoked");
      clock.nowSeconds += 50;
      const later = instanceOn(store, clock);
      await revokeFamily(later, record.family, admin);
      expect(await under.auditTrail()).toEqual(trail);
      // An end that lasts longer here than in the store would seem lost by the store.
      const ends = [...registry.view.entries()].filter(({ kind }) => kind === "family");
      expect([...later.view.entries()]).toEqual(ends);
      // The time is later now, so tokens with dates that the store does not know may have been issued since.
      for (let round = 0; round < 2; round++) {
        await revokeOwner(registry, "acme", admin);
        expect(await under.auditTrail()).toHaveLength(6);
      }
      await register(registry, { owner: "acme" });
      await revokeOwner(registry, "acme", admin);
      expect(await under.auditTrail()).toHaveLength(8);
    });

    test("that ends another issuer's family is repeated on another day, because its issuer issues further tokens", async () => {
      const { registry, store, clock, under } = await begin();
      const endAfter = async (days: number) => {
        clock.nowSeconds = START + days * DAY;
        await revokeFamily(registry, "corp:alice", admin);
        const ends: unknown[] = [];
        for await (const portion of store.viewEntries())
          ends.push(...portion.filter(({ kind }) => kind === "family"));
        return { ends, written: (await under.auditTrail()).length };
      };
      const family = (days: number) => [{ kind: "family", family: "corp:alice", until: START + days * DAY }];
      expect(await endAfter(0)).toEqual({ ends: family(400), written: 1 });
      expect(await endAfter(0.5)).toEqual({ ends: family(400), written: 1 });
      expect(await endAfter(399)).toEqual({ ends: family(799), written: 2 });
    });

    test("is written completely or not at all, whichever requirement fails", async () => {
      const { registry, store, clock, under } = await begin();
      const existing = await register(registry, { owner: "acme", idempotencyKey: "k" });
      await revokeOwner(registry, "acme", admin);
      await revokeFamily(registry, "fam_ended00000000000000", admin);
      const fresh: KeyRecord = {
        ...existing,
        keyId: "contributor_1_fresh0000000000000000",
        family: "fam_fresh00000000000000",
      };
      const rememberedId = registry.digest(JSON.stringify(["register", "admin test", "k"]));
      const failing: readonly (readonly [Partial<KeyChange>, string])[] = [
        [{ put: [fresh, existing] }, "conflict"],
        [{ put: [fresh, { ...existing, version: 3 }] }, "conflict"],
        [{ put: [fresh, { ...fresh, keyId: "contributor_1_none0000000000000000", version: 2 }] }, "conflict"],
        [{ put: [fresh], requires: { living: { ...fresh, family: "fam_ended00000000000000" } } }, "ended"],
        [{ put: [fresh], requires: { living: { ...fresh, owner: "acme" } } }, "ended"],
        [{ put: [fresh], requires: { selfServiceBelow: 0 } }, "full"],
        [
          {
            put: [fresh],
            remember: { id: rememberedId, bodyDigest: "b", keyId: fresh.keyId, until: START + 10 },
          },
          "conflict",
        ],
      ];
      const trail = (await under.auditTrail()).length;
      for (const [change, kind] of failing) {
        const event = {
          eventId: "e",
          atMs: 1,
          event: "key_registered",
          outcome: "done",
          actor: "x",
        } as const;
        const outcome = await store.commit({
          nowSeconds: clock.nowSeconds,
          put: [],
          audit: [event],
          ...change,
        });
        expect([change, outcome.kind]).toEqual([change, kind]);
        expect(await store.load(fresh.keyId)).toBeUndefined();
        expect(await under.traces(fresh.keyId)).toEqual([]);
      }
      expect(await store.load(existing.keyId)).toEqual(existing);
      expect((await under.auditTrail()).length).toBe(trail);
    });

    test("that fails by a cut-off reports from when on keys are valid", async () => {
      const { store, registry } = await begin();
      await revokeOwner(registry, "acme", admin);
      const record = await register(registry, { owner: "acme" });
      expect(record.issuedAt).toBe(START + 1);
      const living = { family: "f", role: "r", owner: "acme", issuedAt: START };
      const outcome = await store.commit({ nowSeconds: START, put: [], audit: [], requires: { living } });
      expect(outcome).toEqual({ kind: "ended", before: START + 1 });
    });
  });

  describe("refreshing", () => {
    test("of one key concurrently succeeds exactly once, the others are denied, and each instance audits that", async () => {
      const { registry, store, clock, under } = await begin();
      const old = await register(registry);
      clock.nowSeconds = old.refreshAfter;
      const instances = [registry, instanceOn(store, clock), instanceOn(store, clock)];
      const results = await Promise.all(
        Array.from({ length: 12 }, (_, at) =>
          refreshByHolder(instances[at % 3] ?? registry, old, `try ${at}`, admin),
        ),
      );
      const succeeded = results.filter(({ kind }) => kind === "issued");
      expect(succeeded).toHaveLength(1);
      expect(
        results.filter((result) => result.kind === "refused" && result.reason === "already_refreshed"),
      ).toHaveLength(11);
      const audited = async () =>
        (await under.auditTrail()).filter((event) => JSON.stringify(event).includes('"already_refreshed"'))
          .length;
      const lines = await audited();
      expect(lines).toBeGreaterThanOrEqual(instances.length);
      for (const instance of instances) await refreshByHolder(instance, old, "later", admin);
      expect(await audited()).toBe(lines);
    });

    test("with the same Idempotency-Key returns the same successor on any instance", async () => {
      const { registry, store, clock } = await begin();
      const old = await register(registry);
      clock.nowSeconds = old.refreshAfter;
      const other = instanceOn(store, clock);
      const results = await Promise.all(
        [registry, other, registry, other].map((instance) => refreshByHolder(instance, old, "same", admin)),
      );
      expect(new Set(results.map((result) => mustIssue(result).keyId)).size).toBe(1);
    });
  });

  test("remembered calls are replayed until they run out, and can then be made again", async () => {
    const { registry, store, clock } = await begin();
    const first = await register(registry, { idempotencyKey: "same" });
    expect((await register(registry, { idempotencyKey: "same" })).keyId).toBe(first.keyId);
    clock.nowSeconds += DAY + 1;
    const id = registry.digest(JSON.stringify(["register", "admin test", "same"]));
    expect(await store.recall(id, clock.nowSeconds)).toBeUndefined();
  });

  test("concurrent anonymous registrations do not exceed the limit", async () => {
    const { registry, store, clock } = await begin();
    const instances = [registry, instanceOn(store, clock)];
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, at) =>
        registerKey(instances[at % 2] ?? registry, { role: "basic", name: "s" }, anonymous),
      ),
    );
    expect(results.filter(({ kind }) => kind === "issued")).toHaveLength(3);
    expect(
      results.filter((result) => result.kind === "refused" && result.reason === "too_many_keys"),
    ).toHaveLength(7);
    clock.nowSeconds += 8 * DAY;
    expect((await registerKey(registry, { role: "basic", name: "s" }, anonymous)).kind).toBe("issued");
  });

  test("a listing returns every key that exists all the time exactly once, while others are added and revoked", async () => {
    const { registry, store, clock } = await begin();
    const permanent: string[] = [];
    for (let made = 0; made < 25; made++)
      permanent.push((await register(registry, { owner: made % 2 === 0 ? "even" : "odd" })).keyId);
    for (const owner of [undefined, "even"]) {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await store.page({
          limit: 4,
          ...(owner && { of: { owner } }),
          ...(cursor && { cursor }),
        });
        if (page === "cursor_unknown") throw new Error(page);
        seen.push(...page.entries.map(({ record }) => record.keyId));
        cursor = page.nextCursor;
        await register(registry, { ttlSeconds: 1, owner: "even" });
        await revokeOne(registry, permanent[seen.length % 25] ?? "", admin);
      } while (cursor !== undefined && seen.length < 500 && seen.length < 60);
      const expected = owner === undefined ? permanent : permanent.filter((_, at) => at % 2 === 0);
      expect(seen.filter((keyId) => expected.includes(keyId))).toEqual(expected);
      expect(new Set(seen).size).toBe(seen.length);
    }
    expect(await store.page({ limit: 4, cursor: "no such" })).toBe("cursor_unknown");
    const filtered = await listKeys(instanceOn(store, clock), { status: "revoked" }, { limit: 100 });
    expect(filtered !== "cursor_unknown" && filtered.views.every(({ status }) => status === "revoked")).toBe(
      true,
    );
  });

  describe("finding keys", () => {
    const found = async (registry: Registry, filter: KeyFilter): Promise<readonly string[]> => {
      const page = await listKeys(registry, filter, { limit: 100 });
      if (page === "cursor_unknown") throw new Error(page);
      return page.views.map(({ record }) => record.keyId);
    };

    test("a family's index has all of its keys and reads no other", async () => {
      const { registry } = await begin();
      const [first, other] = [await register(registry), await register(registry, { owner: "acme" })];
      const second = mustIssue(await rotateByOperator(registry, first.keyId, 10, admin));
      const third = mustIssue(await rotateByOperator(registry, second.keyId, 10, admin));
      const { family } = first;
      const keyIds = [first.keyId, second.keyId, third.keyId];
      expect(await found(registry, { family })).toEqual(keyIds);
      // A family without an owner owns itself.
      expect(await found(registry, { owner: family })).toEqual(keyIds);
      expect(await found(registry, { family: other.family })).toEqual([other.keyId]);
      expect(await found(registry, { owner: other.family })).toEqual([]);
      expect(await found(registry, { family, owner: "acme" })).toEqual([]);
      expect(await listKeys(registry, { family }, { limit: 100 })).toMatchObject({ examined: 3 });
      const pages = await listKeys(registry, { family }, { limit: 2 });
      const cursor = pages === "cursor_unknown" ? undefined : pages.nextCursor;
      expect(await listKeys(registry, { family }, { limit: 2, ...(cursor && { cursor }) })).toMatchObject({
        views: [{ record: { keyId: third.keyId } }],
      });
    });

    test("a search ignores case, and finds the id, the name, the owner and the family", async () => {
      const { registry } = await begin();
      const named = await register(registry, { name: "Zoë's <b>Crawler</b>" });
      const owned = await register(registry, { owner: "Crawlers.example" });
      expect(await found(registry, { search: "crawler" })).toEqual([named.keyId, owned.keyId]);
      expect(await found(registry, { search: "ZOË" })).toEqual([named.keyId]);
      expect(await found(registry, { search: named.family.toUpperCase() })).toEqual([named.keyId]);
      expect(await found(registry, { search: owned.keyId.slice(-9) })).toContain(owned.keyId);
      expect(await found(registry, { search: "%" })).toEqual([]);
    });

    test("by plan, by issue date, and by the last use, where an unused key counts from its issue", async () => {
      const { registry, store, clock } = await begin();
      const old = await register(registry, { plan: "team" });
      const used = await register(registry);
      clock.nowSeconds += DAY;
      const fresh = await register(registry);
      await store.noteUse(new Map([[used.keyId, clock.nowSeconds]]));
      expect(await found(registry, { plan: "team" })).toEqual([old.keyId]);
      expect(await found(registry, { issuedBefore: clock.nowSeconds })).toEqual([old.keyId, used.keyId]);
      expect(await found(registry, { unusedSince: clock.nowSeconds })).toEqual([old.keyId]);
      expect(await found(registry, { unusedSince: clock.nowSeconds + 1 })).toEqual([
        old.keyId,
        used.keyId,
        fresh.keyId,
      ]);
    });

    test("a count has each key once, and counts as live what Checks accept", async () => {
      const { registry, store, clock } = await begin();
      const owner = "acme";
      const first = await register(registry, { owner });
      const next = mustIssue(await rotateByOperator(registry, first.keyId, 100, admin));
      const disabled = await register(registry, { owner });
      await changeKey(registry, disabled.keyId, { disabled: true }, admin);
      const revoked = await register(registry, { owner });
      await revokeOne(registry, revoked.keyId, admin);
      await register(registry, { owner, ttlSeconds: 10 });
      await register(registry, { owner: "other" });
      await store.noteUse(new Map([[next.keyId, START + 7]]));
      clock.nowSeconds += 20;
      expect(await countKeys(registry, { owner })).toEqual({
        byStatus: { active: 1, superseded: 1, disabled: 1, revoked: 1, expired: 1 },
        live: 2,
        examined: 5,
        lastUsedAt: START + 7,
      });
      clock.nowSeconds += 100;
      expect(await countKeys(registry, { owner })).toMatchObject({ live: 1 });
      await revokeOwner(registry, owner, admin);
      expect(await countKeys(registry, { owner })).toMatchObject({ live: 0 });
      expect(await countKeys(registry, { owner }, "no such")).toBe("cursor_unknown");
    });

    test("a count of more keys than one part continues where it ended", async () => {
      const { registry, store } = await begin();
      const record = await register(registry);
      const many = Array.from({ length: 2100 }, (_, at) => ({
        ...record,
        keyId: `contributor_1700000000_${String(at).padStart(22, "0")}`,
      }));
      for (let from = 0; from < many.length; from += 100)
        await store.commit({ nowSeconds: START, put: many.slice(from, from + 100), audit: [] });
      const first = await countKeys(registry, {});
      if (first === "cursor_unknown") throw new Error(first);
      const second = await countKeys(registry, {}, first.nextCursor);
      expect([first, second]).toMatchObject([
        { examined: 2000, byStatus: { active: 2000 } },
        { examined: 101, byStatus: { active: 101 } },
      ]);
      expect(second).not.toHaveProperty("nextCursor");
    });
  });

  test("a later use is never replaced by an earlier one", async () => {
    const { registry, store } = await begin();
    const { keyId } = await register(registry);
    expect(await store.lastUsed([keyId, "none"])).toEqual(new Map());
    await store.noteUse(new Map([[keyId, START + 5]]));
    await store.noteUse(new Map([[keyId, START + 3]]));
    expect(await store.lastUsed([keyId])).toEqual(new Map([[keyId, START + 5]]));
    expect(await showKey(registry, keyId)).toMatchObject({ lastUsedAt: START + 5 });
  });

  test("the sweep removes only keys whose retention is over, with every trace", async () => {
    const { registry, store, under, clock } = await begin();
    const old = await register(registry, { ttlSeconds: 60, owner: "acme", name: "old" });
    await store.noteUse(new Map([[old.keyId, START]]));
    await changeKey(registry, old.keyId, { disabled: true }, admin);
    const kept = await register(registry);
    expect(await store.sweep(START + 60 + RETENTION, 100)).toBe(0);
    expect(await store.load(old.keyId)).toMatchObject({ name: "old" });
    clock.nowSeconds = START + 61 + RETENTION;
    expect(await store.sweep(clock.nowSeconds, 100)).toBe(1);
    expect(await store.load(old.keyId)).toBeUndefined();
    expect(await under.traces(old.keyId)).toEqual([]);
    expect(await store.load(kept.keyId)).toEqual(kept);
  });

  test("the count includes keys until their end, and the self-service keys among them", async () => {
    const { registry, store } = await begin();
    const base = await store.count(START);
    const short = await register(registry, { ttlSeconds: 60 });
    await revokeOne(registry, (await register(registry)).keyId, admin);
    mustIssue(await registerKey(registry, { role: "basic", name: "own" }, anonymous));
    expect(await store.count(short.expiresAt - 1)).toEqual({
      unexpired: base.unexpired + 3,
      selfService: base.selfService + 1,
    });
    expect((await store.count(short.expiresAt)).unexpired).toBe(base.unexpired + 2);
  });

  test("whatever races a revocation, no revoked key is valid afterwards", async () => {
    const { store, clock, registry } = await begin();
    const operation = fc.constantFrom(
      "refresh",
      "rotate",
      "disable",
      "enable",
      "revoke",
      "family",
      "owner",
      "possession",
    );
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(operation, fc.nat({ max: 1 })), { minLength: 2, maxLength: 10 }),
        async (operations) => {
          clock.nowSeconds += 100;
          const instances = [registry, instanceOn(store, clock)];
          const owner = `owner${round++}`;
          const first = await register(registry, { owner, ttlSeconds: 600 });
          clock.nowSeconds = first.refreshAfter;
          await Promise.all(
            operations.map(([name, at]) => run(instances[at] ?? registry, name, first, owner)),
          );
          const fresh = createInstanceView();
          for await (const portion of store.viewEntries()) fresh.apply(portion);
          const names = operations.map(([name]) => name);
          const familyEnded = names.includes("family") || names.includes("possession");
          const page = await store.page({ of: { owner }, limit: 100 });
          if (page === "cursor_unknown") throw new Error(page);
          for (const { record } of page.entries) {
            // A successor is issued in the same second or later. An owner's cut-off revokes only those that were issued before it.
            const mustBeRevoked =
              familyEnded ||
              (record.keyId === first.keyId && (names.includes("revoke") || names.includes("owner")));
            if (mustBeRevoked)
              expect([names, fresh.endReason(record, clock.nowSeconds * 1000)]).toEqual([
                names,
                "key_revoked",
              ]);
          }
        },
      ),
      { numRuns: 40 },
    );
  });
}

async function run(registry: Registry, name: string, key: KeyRecord, owner: string): Promise<unknown> {
  switch (name) {
    case "refresh":
      return refreshByHolder(registry, key, undefined, admin);
    case "rotate":
      return rotateByOperator(registry, key.keyId, undefined, admin);
    case "disable":
      return changeKey(registry, key.keyId, { disabled: true }, admin);
    case "enable":
      return changeKey(registry, key.keyId, { disabled: false }, admin);
    case "revoke":
      return revokeOne(registry, key.keyId, admin);
    case "family":
      return revokeFamily(registry, key.family, admin);
    case "owner":
      return revokeOwner(registry, owner, admin);
    default:
      return revokeByHolder(registry, key, admin);
  }
}
