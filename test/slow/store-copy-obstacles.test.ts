import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { openDatabase } from "../../src/sqlite/database.ts";
import { newFolder, sqliteSide } from "../support/copied-stores.ts";
import { newFakeClock } from "../support/faketime.ts";
import { runHere } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { freePort, startRedis } from "../support/redis.ts";

let redis: TestedRedis;
let other: TestedRedis;
let source: string;

beforeAll(async () => {
  [redis, other] = await Promise.all([startRedis(), startRedis()]);
  source = await newRegistry();
});

afterAll(async () => {
  await redis?.stop();
  await other?.stop();
});

let registries = 0;

/** A folder with a registry of one key, and with the secrets that an instance has generated. */
async function newRegistry(secret = "the same secret"): Promise<string> {
  const folder = newFolder();
  const now = Math.floor(Date.now() / 1000);
  const record: KeyRecord = {
    keyId: `basic_1_${String(registries++).padStart(22, "0")}`,
    family: "fam_0000000000000000000000",
    familyStartedAt: now,
    role: "basic",
    scopes: [],
    name: "x",
    issuedAt: now,
    expiresAt: now + 3600,
    refreshAfter: now + 3600,
    selfService: false,
    disabled: false,
    version: 1,
  };
  await sqliteSide(folder).use(({ keys }) => keys.commit({ nowSeconds: now, put: [record], audit: [] }));
  for (const name of ["jwt_secret", "key_hash_secret"]) writeFileSync(join(folder, name), secret);
  return folder;
}

const copy = (...args: readonly string[]) => runHere(["store", "copy", ...args]);

async function fails(args: readonly string[], status: number, message: RegExp, env = {}): Promise<void> {
  const ran = await runHere(["store", "copy", ...args], env);
  expect({ args, ...ran }).toMatchObject({ status, stdout: "" });
  expect(ran.stderr).toMatch(message);
  expect(ran.stderr.replace("(see --help)\n", "").trimEnd().split("\n")).toHaveLength(1);
}

test("arguments that do not name two stores", async () => {
  await fails([source, other.url, "--from", source], 2, /name each side once/);
  await fails([], 2, /name the source, the target, or both/);
  await fails(
    ["--from", "http://localhost", "--to", other.url],
    2,
    /source \(--from\): REDIS_URL must be redis:/,
  );
  await fails(["/no/such/folder", other.url], 2, /source \(--from\): there is no folder \/no\/such\/folder/);
  for (const place of ["localhost:6379", "latchkey:secret@localhost", "latchkey@localhost"]) {
    await fails([source, place], 2, /^latchkey: the target \(--to\): a URL begins with redis:\/\/, and/);
    await fails([place, source], 2, /^latchkey: the source \(--from\): a URL begins with [^@]*@ in its name/);
    expect(existsSync(place)).toBe(false);
  }
  await fails(["/etc/passwd", other.url], 2, /is not a folder/);
  await fails(["/etc", other.url], 2, /\/etc is not a data directory: it has no latchkey\.db/);
  await fails([source, "/etc"], 2, /target \(--to\): \/etc is not a data directory/);
});

test("the same store on both sides, a clone, and an empty source", async () => {
  await other.cli("FLUSHALL");
  await fails([source, source], 1, /another process uses/);
  await fails([other.url, source], 1, /the source has no registry/);
  await redis.cli("SET", "latchkey:epoch", "e 1");
  await other.cli("SET", "latchkey:epoch", "e 1");
  await fails([redis.url, redis.url], 1, /both sides are the same store/);
  await fails([redis.url, other.url], 1, /or one is a clone of the other: check --from and --to/);
});

test("a side that cannot be reached or used", async () => {
  await other.cli("FLUSHALL");
  const closed = `redis://127.0.0.1:${await freePort()}`;
  await fails([source, closed], 1, /target \(--to\): Redis cannot be reached.*ECONNREFUSED/);
  const wrong = `redis://latchkey:wrong@127.0.0.1:${other.port}`;
  await fails([source, wrong], 1, /target \(--to\):.*does not accept them/);
  await fails([source, other.url], 1, /target \(--to\):.*does not accept/, { TO_REDIS_PASSWORD: "wrong" });
  // The password of one side is never sent to the other one.
  expect(await runHere(["store", "copy", source, other.url], { REDIS_PASSWORD: "wrong" })).toMatchObject({
    status: 0,
  });
  await redis.cli("ACL", "SETUSER", "few", "on", ">pw", "~*", "+get", "+info", "+set", "+time");
  const restricted = `redis://few:pw@127.0.0.1:${redis.port}`;
  await fails([source, restricted], 1, /target \(--to\): .*deploy\/redis\/latchkey\.acl/);
  await fails([restricted, newFolder()], 1, /source \(--from\): .*deploy\/redis\/latchkey\.acl/);
  await redis.cli("CONFIG", "SET", "maxmemory", "1");
  await fails([source, redis.url], 1, /target \(--to\): Redis has no memory left: raise its maxmemory/);
  await redis.cli("CONFIG", "SET", "maxmemory", "0");
});

test("a folder that an instance uses, or that a newer version has written", async () => {
  const used = openDatabase(await newRegistry());
  const folder = used.sqlite.location("main")?.replace("/latchkey.db", "") ?? "";
  await fails(
    [folder, other.url],
    1,
    /source \(--from\): another process uses .*: one embedded store serves one process/,
  );
  used.close();
  const newer = newFolder();
  const database = new DatabaseSync(join(newer, "latchkey.db"));
  database.exec("PRAGMA user_version = 999");
  database.close();
  await fails([source, newer], 1, /target \(--to\): .* was written by a newer Latchkey/);
});

test("a record of a newer version is not copied without its new fields", async () => {
  const newer = await newRegistry();
  const database = new DatabaseSync(join(newer, "latchkey.db"));
  database.exec("UPDATE keys SET record = json_set(record, '$.zz', 1)");
  database.close();
  await fails([newer, newFolder()], 1, /was written by a newer Latchkey: use that version for the copy/);
});

test("a target of another fleet, or with other keys", async () => {
  await redis.cli("FLUSHALL");
  await other.cli("FLUSHALL");
  await fails(
    [source, await newRegistry("another secret")],
    1,
    /another fleet: it has generated another JWT_SECRET/,
  );
  const unrelated = await newRegistry();
  await fails(
    [source, unrelated],
    1,
    /keys that do not come from this source: check --to, or accept them with --merge/,
  );
  expect(await copy(source, unrelated, "--merge")).toMatchObject({ status: 0 });
  expect(await copy(source, unrelated)).toMatchObject({ status: 0 });
  expect(await copy(unrelated, source)).toMatchObject({ status: 0 });
  const instance = (digest: string) => `1 ${Date.now()} kid KEY_HASH_SECRET=${digest}`;
  await redis.cli("SET", "latchkey:epoch", "e 1");
  await redis.cli("HSET", "latchkey:kids", "a", instance("one"));
  await other.cli("HSET", "latchkey:kids", "b", instance("two"));
  await fails(
    [redis.url, other.url],
    1,
    /belongs to another fleet: its instances have another KEY_HASH_SECRET/,
  );
  // A move may come with an upgrade, and the target follows its policy until the source's phase is copied.
  await redis.cli("HSET", "latchkey:kids", "a", `${instance("one")} version=1.4.0 phase=deprecated`);
  await other.cli("HSET", "latchkey:kids", "b", `${instance("one")} version=1.5.0 phase=silent`);
  expect(await copy(redis.url, other.url)).toMatchObject({ status: 0 });
});

test("a copy that too few replicas have", async () => {
  await other.cli("FLUSHALL");
  const env = { TO_REDIS_WAIT_REPLICAS: "1" };
  const alone = await runHere(["store", "copy", source, other.url], env);
  expect(alone).toMatchObject({ status: 1 });
  expect(alone.stderr).toMatch(/fewer replicas of the target than its REDIS_WAIT_REPLICAS have the copy/);
  const replica = await startRedis();
  await replica.cli("REPLICAOF", "127.0.0.1", String(other.port));
  await expect.poll(() => other.cli("INFO", "replication")).toMatch(/slave0:.*state=online/);
  expect(await runHere(["store", "copy", source, other.url], env)).toMatchObject({ status: 0 });
  await replica.stop();
});

test("clocks that differ by more than the keys allow", async () => {
  const clock = await newFakeClock();
  clock.freeze(Math.floor(Date.now() / 1000) - 60);
  const late = await startRedis({ env: clock.env });
  await fails(
    [source, late.url],
    1,
    /the clock of the source is \d+ s ahead of the target's: check the time/,
  );
  await late.stop();
});
