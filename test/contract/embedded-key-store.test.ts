import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import type { Database } from "../../src/sqlite/database.ts";
import { openDatabase } from "../../src/sqlite/database.ts";
import { createKeyStore } from "../../src/sqlite/key-store.ts";
import { RegistryLost } from "../../src/sqlite/registry-place.ts";
import { openThreadedStore } from "../../src/sqlite/threaded-store.ts";
import "../support/compiled-threads.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { clockSuite } from "./clock-suite.ts";
import { freezeSuite } from "./freeze-suite.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { keyStoreSuite, START, settableClock } from "./key-store-suite.ts";
import { legacySuite } from "./legacy-suite.ts";
import { overrideSuite } from "./override-suite.ts";
import { ownerKeysSuite } from "./owner-keys-suite.ts";
import type { SelfServiceStore } from "./self-service-suite.ts";
import { selfServiceSuite } from "./self-service-suite.ts";

const RETENTION = { recordRetentionSeconds: 7 * 86_400, nowMs: () => 1000 };
const THREAD = {
  recordRetentionSeconds: 7 * 86_400,
  acceptEmptyRegistry: false,
  instanceId: "one",
  usageRetention: { hoursSeconds: 40 * 86_400, daysSeconds: 400 * 86_400 },
};
const opened: { close(): void | Promise<void> }[] = [];

afterEach(async () => {
  for (const database of opened.splice(0)) await database.close();
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-store-"));
  removeAtEnd(folder);
  return folder;
}

function open(folder: string): Database {
  const database = openDatabase(folder);
  opened.push(database);
  return database;
}

const record: KeyRecord = {
  keyId: "basic_1_abcdefghijklmnopqrstuv",
  family: "fam_abcdefghijklmnopqrstuv",
  familyStartedAt: 1,
  role: "basic",
  scopes: [],
  name: "x",
  issuedAt: 1,
  expiresAt: 2_000_000_000,
  refreshAfter: 2,
  selfService: false,
  disabled: false,
  version: 1,
};

describe("the embedded key store in a separate thread", () => {
  const setUp = async (): Promise<StoreUnderTest> => {
    const clock = settableClock(START);
    const nowMs = () => clock.nowSeconds * 1000;
    const { keys, audit, close } = await openThreadedStore({ dataDir: newFolder(), ...THREAD }, nowMs);
    opened.push({ close });
    return {
      open: async () => keys,
      clock,
      auditTrail: async () => (await audit.read({ after: "0", limit: 1000 })).map(({ event }) => event),
      traces: async (keyId) => ((await keys.load(keyId)) === undefined ? [] : ["keys"]),
    };
  };
  keyStoreSuite(setUp);
  legacySuite(setUp);
  ownerKeysSuite(setUp);
  freezeSuite(setUp);
});

describe("the embedded key store", () => {
  const setUp = async (): Promise<SelfServiceStore> => {
    const folder = newFolder();
    let database = open(folder);
    const clock = settableClock(START);
    const options = { ...RETENTION, nowMs: () => clock.nowSeconds * 1000 };
    const store = createKeyStore(database, options);
    return {
      open: async () => store,
      clock,
      countAgain: async (keyIds) => {
        const count = database.sqlite.prepare("UPDATE keys SET self_service = 1 WHERE key_id = ?");
        for (const keyId of keyIds) count.run(keyId);
        database.sqlite.exec(
          "DROP INDEX IF EXISTS keys_self_service_seq; DROP TABLE ended_keys; ALTER TABLE audit DROP COLUMN origin; ALTER TABLE audit DROP COLUMN logged; ALTER TABLE quotas DROP COLUMN unit_limit; DROP INDEX keys_owned; DROP INDEX keys_overlapping; ALTER TABLE keys DROP COLUMN owned_until; ALTER TABLE keys DROP COLUMN overlap_until; DELETE FROM shared_state WHERE name LIKE 'newest%'; PRAGMA user_version = 3",
        );
        opened.pop()?.close();
        database = open(folder);
        return createKeyStore(database, options);
      },
      auditTrail: async () =>
        database.sqlite
          .prepare("SELECT event FROM audit ORDER BY seq")
          .all()
          .map((row) => JSON.parse(String(row["event"]))),
      traces: async (keyId) => {
        const tables = ["keys", "remembered_calls"].map(
          (table) => `SELECT '${table}' AS found FROM ${table} WHERE key_id = ?`,
        );
        return database.sqlite
          .prepare(tables.join(" UNION ALL "))
          .all(keyId, keyId)
          .map((row) => String(row["found"]));
      },
    };
  };
  keyStoreSuite(setUp);
  legacySuite(setUp);
  ownerKeysSuite(setUp);
  freezeSuite(setUp);
  selfServiceSuite(setUp);
  clockSuite(setUp);
  overrideSuite(setUp);

  test("does nothing on the caller's thread", async () => {
    const { keys, close } = await openThreadedStore({ dataDir: newFolder(), ...THREAD }, RETENTION.nowMs);
    const put = Array.from({ length: 500 }, (_, at) => ({ ...record, keyId: `basic_1_${at}` }));
    await keys.commit({ nowSeconds: 1, put, audit: [] });
    for (const work of [
      () => keys.count(1),
      () => keys.page({ limit: 500 }),
      () => keys.sweep(3_000_000_000, 500),
    ]) {
      let isDone = false;
      const done = work().then(() => {
        isDone = true;
      });
      // Work on this thread would be done after its microtasks, because nothing else has run in between.
      for (let at = 0; at < 50; at++) await Promise.resolve();
      expect(isDone).toBe(false);
      await done;
    }
    await close();
    await expect(keys.count(1)).rejects.toThrow("ended");
  });

  test("keeps everything when it is opened again", async () => {
    const folder = newFolder();
    const first = open(folder);
    await createKeyStore(first, RETENTION).commit({ nowSeconds: 1, put: [record], audit: [] });
    await opened.pop()?.close();
    expect(await createKeyStore(open(folder), RETENTION).load(record.keyId)).toEqual(record);
  });

  test("is exclusive: a second process cannot open it", () => {
    const folder = newFolder();
    open(folder);
    const program = `
      import { openDatabase } from ${JSON.stringify(fileURLToPath(new URL("../../src/sqlite/database.ts", import.meta.url)))};
      try { openDatabase(${JSON.stringify(folder)}); } catch (error) { console.log(error.message); }`;
    const second = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
    expect(second.stdout).toContain("another process uses");
  });

  test("rejects a folder that a newer version has written", () => {
    const folder = newFolder();
    const database = openDatabase(folder);
    database.sqlite.exec("PRAGMA user_version = 99");
    database.close();
    expect(() => openDatabase(folder)).toThrow("newer");
  });

  test("a change on a full disk writes nothing, and the store continues when there is space again", async () => {
    const database = open(newFolder());
    const store = createKeyStore(database, RETENTION);
    const pages = Number(database.sqlite.prepare("PRAGMA page_count").get()?.["page_count"]);
    database.sqlite.exec(`PRAGMA max_page_count = ${pages}`);
    const many = Array.from({ length: 200 }, (_, at) => ({
      ...record,
      keyId: `basic_1_${String(at).padStart(22, "0")}`,
    }));
    await expect(store.commit({ nowSeconds: 1, put: many, audit: [] })).rejects.toThrow(/full/);
    expect(await store.load(many[0]?.keyId ?? "")).toBeUndefined();
    database.sqlite.exec("PRAGMA max_page_count = 1000000");
    expect(await store.commit({ nowSeconds: 1, put: many, audit: [] })).toEqual({ kind: "committed" });
  });
});

describe("a folder whose registry is lost", () => {
  const DB = "latchkey.db";
  const revoked: KeyRecord = { ...record, version: 2, revokedAt: 2 };
  const revokedIn = async (database: Database) => {
    const found: string[] = [];
    for await (const portion of createKeyStore(database, RETENTION).viewEntries())
      for (const each of portion) if (each.kind === "key" && each.revoked) found.push(each.keyId);
    return found;
  };
  /** The registry of a process that was killed or has stopped in order, and an older copy of its database. */
  const registryOf = async (how: "killed" | "stopped") => {
    const folder = newFolder();
    const before = openDatabase(folder);
    await createKeyStore(before, RETENTION).commit({ nowSeconds: 1, put: [record], audit: [] });
    before.close();
    const older = readFileSync(join(folder, DB));
    const database = openDatabase(folder);
    await createKeyStore(database, RETENTION).commit({ nowSeconds: 2, put: [revoked], audit: [] });
    const killed = newFolder();
    cpSync(folder, killed, { recursive: true });
    database.close();
    return { folder: how === "killed" ? killed : folder, older };
  };
  const faults: readonly (readonly [what: string, lose: (folder: string, older: Buffer) => void])[] = [
    ["the database is missing", (folder) => rmSync(join(folder, DB))],
    ["the database is empty", (folder) => truncateSync(join(folder, DB))],
    ["the write-ahead log is missing", (folder) => rmSync(join(folder, `${DB}-wal`), { force: true })],
    ["the write-ahead log is empty", (folder) => writeFileSync(join(folder, `${DB}-wal`), "")],
    [
      "both are missing",
      (folder) => ["", "-wal"].forEach((end) => void rmSync(join(folder, DB + end), { force: true })),
    ],
    [
      "an older copy replaces it",
      (folder, older) => {
        rmSync(join(folder, `${DB}-wal`), { force: true });
        writeFileSync(join(folder, DB), older);
      },
    ],
    [
      "another registry replaces it",
      (folder) => {
        const other = newFolder();
        openDatabase(other).close();
        rmSync(join(folder, `${DB}-wal`), { force: true });
        cpSync(join(other, DB), join(folder, DB));
      },
    ],
    ["the marker is empty", (folder) => truncateSync(join(folder, "registry.json"))],
    ["the marker is missing", (folder) => rmSync(join(folder, "registry.json"))],
    ["nothing", () => undefined],
  ];
  test.each(
    faults.flatMap(([what, lose]) => (["killed", "stopped"] as const).map((how) => ({ what, how, lose }))),
  )("is not opened, or its revoked keys are denied: $what, $how", async ({ what, how, lose }) => {
    const { folder, older } = await registryOf(how);
    lose(folder, older);
    // A process that has stopped in order leaves no log, so nothing is lost without it.
    const isComplete =
      /^nothing|marker is missing/.test(what) ||
      (how === "stopped" && what.startsWith("the write-ahead log"));
    if (isComplete) expect(await revokedIn(open(folder))).toEqual([record.keyId]);
    else {
      for (const _ of [1, 2]) expect(() => openDatabase(folder)).toThrow(RegistryLost);
      const accepted = openDatabase(folder, { acceptEmptyRegistry: true });
      accepted.close();
      open(folder);
    }
  });

  test("is detected while it is in use: no change is written until it is back, and the next start fails", async () => {
    const folder = newFolder();
    const { keys, close, checkPlace } = await openThreadedStore(
      { dataDir: folder, ...THREAD },
      RETENTION.nowMs,
    );
    const path = join(folder, DB);
    const change = () => keys.commit({ nowSeconds: 1, put: [], audit: [] });
    renameSync(path, `${path}.moved`);
    await expect(change()).rejects.toThrow("removed or replaced");
    await expect(checkPlace()).rejects.toThrow("removed or replaced");
    renameSync(`${path}.moved`, path);
    await checkPlace();
    expect(await change()).toEqual({ kind: "committed" });
    cpSync(path, `${path}.copy`);
    renameSync(`${path}.copy`, path);
    await expect(change()).rejects.toThrow("removed or replaced");
    await close();
    expect(() => openDatabase(folder)).toThrow("removed or replaced while it was in use");
  });
});
