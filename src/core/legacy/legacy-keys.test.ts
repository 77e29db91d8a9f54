import { describe, expect, test } from "vitest";
import type { Held } from "../../../test/support/scripted-registry.ts";
import { admin, KEY, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import { NotReplicated } from "../keys/commit.ts";
import type { CommitOutcome } from "../keys/key-change.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { NEVER } from "../keys/key-record.ts";
import type { CallOrigin } from "../keys/operation-audit.ts";
import type { RegistryDenial } from "../keys/registry-denial.ts";
import { denied } from "../keys/registry-denial.ts";
import type { Policy, Role } from "../policy/policy.ts";
import { migrateLegacyKey, registerLegacyKey } from "./legacy-keys.ts";
import type { MigrationPlan, Phase } from "./migration.ts";
import { createMigration, PHASES } from "./migration.ts";

const DAY = 86_400;
const PLAN: MigrationPlan = {
  phase: "silent",
  overlapSeconds: 600,
  sunset: NOW + 9000,
  migrateUntil: NOW + 50,
};
const anonymous: CallOrigin = { caller: { kind: "anonymous", address: "192.0.2.1" } };
const FAMILY = "fam_v1aaaaaaaaaaaaaaaaaaaaaa";

/** A V1 key of long ago, which never expires. */
const V1: KeyRecord = {
  ...KEY,
  keyId: "contributor_1_v1aaaaaaaaaaaaaaaaaaaaaa",
  family: FAMILY,
  familyStartedAt: 1,
  metadata: '{"team":"payments"}',
  issuedAt: 1,
  expiresAt: NEVER,
  refreshAfter: NEVER,
  legacy: { hash: "hash of v1 key", alias: "alias of v1 key" },
  version: 4,
};

interface Situation extends Held {
  readonly phase?: Phase;
  /** The V1 key that the store finds; null: none. */
  readonly found?: KeyRecord | null;
  /** Changes the role of the key. */
  readonly role?: Partial<Role>;
}

/** An instance on a store that finds a V1 key by its hashes. */
function start({ phase = "active", found = V1, role = {}, ...held }: Situation, outcomes?: CommitOutcome[]) {
  const scripted = scriptedRegistry(held, outcomes);
  const { registry } = scripted;
  const migration = createMigration({ phase, chosen: true, version: 1, deprecatedAt: NOW - 10 * DAY });
  const asked: (readonly string[])[] = [];
  const policy = registry.policy();
  const roles = new Map(policy.roles);
  const contributor = roles.get("contributor");
  if (contributor !== undefined) roles.set("contributor", { ...contributor, ...role });
  const deps = {
    ...registry,
    migration,
    policy: (): Policy => ({ ...policy, roles, migration: PLAN }),
    legacy: {
      ...registry.legacy,
      newKey: () => "v1 key",
      storedForm: (key: string) => ({ hash: `hash of ${key}`, alias: `alias of ${key}` }),
      hashes: (key: string) => [`hash of ${key}`, `old hash of ${key}`],
    },
    store: {
      ...registry.store,
      findLegacy: async (hashes: readonly string[]) => {
        asked.push(hashes);
        return found ?? undefined;
      },
    },
  };
  return { ...scripted, deps, lookedUp: asked };
}

describe("the registration of a V1 key", () => {
  const register = (situation: Situation, name = "contributor", by = admin) => {
    const started = start(situation);
    return { ...started, issued: registerLegacyKey(started.deps, { name: "n", role: name }, by) };
  };

  test("issues a key that never expires, of which only the digests are stored", async () => {
    const { issued, asked } = register({});
    const record = {
      keyId: `contributor_${NOW}_v1random2`,
      family: "fam_v1random1",
      familyStartedAt: NOW,
      role: "contributor",
      scopes: ["chat:read", "chat:write"],
      name: "n",
      issuedAt: NOW,
      expiresAt: NEVER,
      refreshAfter: NEVER,
      selfService: false,
      disabled: false,
      legacy: { hash: "hash of v1 key", alias: "alias of v1 key" },
      version: 1,
    };
    expect(await issued).toStrictEqual({ kind: "issued_legacy", record, key: "v1 key" });
    expect(asked).toMatchObject([
      { put: [record], requires: { living: record }, audit: [{ event: "legacy_key_registered" }] },
    ]);
    expect(asked[0]?.requires).not.toHaveProperty("selfServiceBelow");
    expect(JSON.stringify(asked).replaceAll("of v1 key", "")).not.toContain("v1 key");
  });

  test("without an operator counts as a self-service key, and only roles for that have one", async () => {
    const { issued, asked } = register({}, "basic", anonymous);
    expect(await issued).toMatchObject({ record: { selfService: true } });
    expect(asked[0]?.requires).toMatchObject({ selfServiceBelow: 3 });
    const denial = register({}, "contributor", anonymous);
    expect(await denial.issued).toEqual(denied("operator_required"));
    expect(denial.asked).toEqual([]);
  });

  test("is denied in the phase removed, and in no other", async () => {
    for (const phase of PHASES) {
      const { issued, asked } = register({ phase });
      const isRemoved = phase === "removed";
      expect(await issued).toMatchObject(isRemoved ? denied("legacy_removed") : { kind: "issued_legacy" });
      expect(asked).toHaveLength(isRemoved ? 0 : 1);
    }
  });

  test("is dated behind the cut-offs of its role", async () => {
    const { deps, asked } = start({});
    deps.view.apply([
      { kind: "cutoff", scope: "role", subject: "contributor", before: NOW + 2, until: NEVER },
    ]);
    await registerLegacyKey(deps, { name: "n", role: "contributor" }, admin);
    expect(asked[0]?.put).toMatchObject([{ issuedAt: NOW + 2 }]);
  });
});

/** Exchanges a V1 key. */
async function migrate(situation: Situation, outcomes?: CommitOutcome[]) {
  const started = start(situation, outcomes);
  const result = await migrateLegacyKey(started.deps, "v1 key", anonymous);
  return { ...started, result, put: started.asked.at(-1)?.put ?? [] };
}

describe("the exchange of a V1 key", () => {
  const keyId = `contributor_${NOW}_random1`;
  const v2: KeyRecord = {
    ...KEY,
    keyId,
    family: FAMILY,
    metadata: '{"team":"payments"}',
    expiresAt: NOW + 7 * DAY,
    refreshAfter: NOW + 6 * DAY,
  };

  test("issues a V2 key of the same family, role, owner and name, and writes both if the family lives", async () => {
    const { result, asked, lookedUp } = await migrate({});
    expect(result).toStrictEqual({ kind: "issued", record: v2, token: `token of ${keyId}`, replayed: false });
    expect(lookedUp).toEqual([["hash of v1 key", "old hash of v1 key"]]);
    const old = { ...V1, legacy: { ...V1.legacy, migratedAt: NOW, successorId: keyId }, version: 5 };
    expect(asked).toMatchObject([
      {
        put: [old, v2],
        requires: { living: V1 },
        audit: [{ event: "legacy_key_migrated", keyId: V1.keyId, family: FAMILY, owner: "acme" }],
      },
    ]);
    expect(asked[0]?.put[0]).not.toHaveProperty("successor");
  });

  test("issues no more than the V1 key has, and no scope that its role has no longer", async () => {
    const { owner: _, metadata: __, ...bare } = V1;
    const { put } = await migrate({
      found: { ...bare, scopes: ["chat:read", "former"], selfService: true },
    });
    expect(put[1]).toMatchObject({ scopes: ["chat:read"], selfService: true });
    expect(put[1]).not.toHaveProperty("owner");
    expect(put[1]).not.toHaveProperty("metadata");
  });

  test.each<readonly [what: string, v1: Partial<KeyRecord>, role: Partial<Role>, life: Partial<KeyRecord>]>([
    [
      "not longer than the V1 key",
      { expiresAt: NOW + 100 },
      {},
      { expiresAt: NOW + 100, refreshAfter: NOW + 100 },
    ],
    ["at most 400 days", {}, { ttlSeconds: 500 * DAY }, { expiresAt: NOW + 400 * DAY }],
    [
      "in a family whose age counts from its first exchange",
      { legacy: { hash: "h", migratedAt: NOW - 100 } },
      { maxFamilyAgeSeconds: 300 },
      { familyStartedAt: NOW - 100, expiresAt: NOW + 200 },
    ],
    [
      "not from before the V1 key, which is dated behind a cut-off",
      { issuedAt: NOW + 2 },
      {},
      { keyId: `contributor_${NOW + 2}_random1`, issuedAt: NOW + 2, expiresAt: NOW + 2 + 7 * DAY },
    ],
  ])("issues a key that lives %s", async (_what, v1, role, life) => {
    const { put } = await migrate({ found: { ...V1, ...v1 }, role });
    expect(put[1]).toMatchObject(life);
  });

  test("keeps the date of the first exchange", async () => {
    const { put } = await migrate({ found: { ...V1, legacy: { hash: "h", migratedAt: NOW - 100 } } });
    expect(put[0]?.legacy).toEqual({ hash: "h", migratedAt: NOW - 100, successorId: keyId });
  });

  test.each<readonly [what: string, situation: Situation, reason: RegistryDenial]>([
    ["that the store does not find", { found: null }, "key_unknown"],
    ["whose hash finds a V2 key", { found: KEY }, "key_unknown"],
    ["that was revoked", { found: { ...V1, revokedAt: NOW - 5 } }, "key_revoked"],
    ["that has expired", { found: { ...V1, expiresAt: NOW } }, "key_expired"],
    ["that is disabled", { found: { ...V1, disabled: true } }, "key_disabled"],
    [
      "that an operator has replaced",
      { found: { ...V1, successor: { keyId: "next", at: NOW - 9, notAfter: NOW } } },
      "key_superseded",
    ],
    ["of a role that the policy no longer has", { found: { ...V1, role: "former" } }, "role_unknown"],
    [
      "of a family that is too old",
      { found: { ...V1, legacy: { hash: "h", migratedAt: NOW - 300 } }, role: { maxFamilyAgeSeconds: 300 } },
      "family_too_old",
    ],
  ])("%s is denied, and writes nothing", async (_what, situation, reason) => {
    const { result, asked } = await migrate(situation);
    expect(result).toEqual(denied(reason));
    expect(asked).toEqual([]);
  });

  test("of a family whose end only this instance knows is denied", async () => {
    const { deps, asked } = start({});
    deps.view.apply([{ kind: "family", family: FAMILY, until: NOW + 9 }]);
    expect(await migrateLegacyKey(deps, "v1 key", anonymous)).toEqual(denied("key_revoked"));
    expect(asked).toEqual([]);
  });

  test("that an operator has replaced is possible until the overlap ends", async () => {
    const successor = { keyId: "next", at: NOW - 9, notAfter: NOW + 1 };
    expect(await migrate({ found: { ...V1, successor } })).toMatchObject({ result: { kind: "issued" } });
  });

  test("that loses against a revocation is denied", async () => {
    const { result } = await migrate({}, [{ kind: "ended" }]);
    expect(result).toEqual(denied("key_revoked"));
  });

  test("is repeated if another change came first", async () => {
    const { result, asked, lookedUp } = await migrate({}, [{ kind: "conflict" }]);
    expect(result).toMatchObject({ kind: "issued" });
    expect([asked.length, lookedUp.length]).toEqual([2, 2]);
  });

  test("is possible in every phase, in the phase removed until migrate_until", async () => {
    const found = { ...V1, legacy: { hash: "h", migratedAt: NOW - 9 * DAY } };
    for (const phase of PHASES)
      expect(await migrate({ phase, found })).toMatchObject({ result: { kind: "issued" } });
    const { deps, asked, setTime } = start({ phase: "removed" });
    setTime(PLAN.migrateUntil * 1000);
    expect(await migrateLegacyKey(deps, "v1 key", anonymous)).toEqual(denied("legacy_removed"));
    expect(asked).toEqual([]);
  });
});

describe("a repeated exchange", () => {
  const earlier: KeyRecord = { ...KEY, family: FAMILY };
  const found: KeyRecord = {
    ...V1,
    legacy: { hash: "h", migratedAt: NOW - 5, successorId: earlier.keyId },
  };

  test("returns the same key once more if the store has it for good", async () => {
    const { result, asked, confirmed } = await migrate({ found, records: [earlier] });
    expect(result).toEqual({
      kind: "issued",
      record: earlier,
      token: `token of ${earlier.keyId}`,
      replayed: true,
    });
    expect([asked, confirmed]).toEqual([[], [[found, earlier]]]);
    await expect(migrate({ found, records: [earlier], durable: false })).rejects.toThrow(NotReplicated);
  });

  test.each<readonly [what: string, earlier: Partial<KeyRecord>]>([
    ["was refreshed", { successor: { keyId: "next", at: NOW - 1, notAfter: NOW + 9 } }],
    ["was revoked", { revokedAt: NOW - 1 }],
    ["has expired", { expiresAt: NOW }],
    ["is disabled", { disabled: true }],
    ["is no longer stored", { keyId: "another" }],
  ])("issues another key if the first one %s", async (_what, change) => {
    const { result, put } = await migrate({ found, records: [{ ...earlier, ...change }] });
    const keyId = `contributor_${NOW}_random1`;
    expect(result).toMatchObject({ kind: "issued", record: { keyId, family: FAMILY }, replayed: false });
    expect(put[0]?.legacy).toEqual({ hash: "h", migratedAt: NOW - 5, successorId: keyId });
  });
});
