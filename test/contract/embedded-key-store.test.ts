import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import type { KeyRecord } from "../../src/core/key-record.ts";
import type { Database } from "../../src/embedded/database.ts";
import { openDatabase } from "../../src/embedded/database.ts";
import { createKeyStore } from "../../src/embedded/key-store.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { clockSuite } from "./clock-suite.ts";
import { keyStoreSuite, START, settableClock } from "./key-store-suite.ts";
import { legacySuite } from "./legacy-suite.ts";
import type { SelfServiceStore } from "./self-service-suite.ts";
import { selfServiceSuite } from "./self-service-suite.ts";

const RETENTION = { recordRetentionSeconds: 7 * 86_400, nowMs: () => 1000 };
const opened: Database[] = [];

afterEach(() => {
  for (const database of opened.splice(0)) database.close();
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
          "DROP INDEX IF EXISTS keys_self_service_seq; DROP TABLE ended_keys; DELETE FROM shared_state WHERE name = 'newest_date'; PRAGMA user_version = 3",
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
  selfServiceSuite(setUp);
  clockSuite(setUp);

  test("keeps everything when it is opened again", async () => {
    const folder = newFolder();
    const first = open(folder);
    await createKeyStore(first, RETENTION).commit({ nowSeconds: 1, put: [record], audit: [] });
    opened.pop()?.close();
    expect(await createKeyStore(open(folder), RETENTION).load(record.keyId)).toEqual(record);
  });

  test("is one process's: a second one is told so", () => {
    const folder = newFolder();
    open(folder);
    const program = `
      import { openDatabase } from ${JSON.stringify(fileURLToPath(new URL("../../src/embedded/database.ts", import.meta.url)))};
      try { openDatabase(${JSON.stringify(folder)}); } catch (error) { console.log(error.message); }`;
    const second = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
    expect(second.stdout).toContain("another process uses");
  });

  test("refuses a folder that a newer version has written", () => {
    const folder = newFolder();
    const database = openDatabase(folder);
    database.sqlite.exec("PRAGMA user_version = 99");
    database.close();
    expect(() => openDatabase(folder)).toThrow("newer");
  });

  test("without room a change is refused whole, and the store goes on when there is room again", async () => {
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
