import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startChild } from "../../scripts/child.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import type { Phase } from "../../src/client/types.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import { PROGRAM, runLatchkey } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const POLICY = `
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d, self_service: true, rate_limits: [{ name: n, per: key, capacity: 100, refill: 10/s }] }
  tight: { scopes: [a], ttl: 7d, refresh_window: 1d, self_service: true, rate_limits: [{ name: n, per: key, capacity: 3, refill: 1/h }] }
routes: [{ path: /a/**, scopes: [a] }]
migration: { overlap: 30d }
guards: { open_calls: 100000/s, failures: 100000/s }
`;

describe.each(["embedded", "redis"] as const)("V1 keys on the %s store", (store) => {
  let redis: TestedRedis | undefined;
  let upstream: Upstream;
  let latchkey: TestedLatchkey;
  let envoy: EnvoyProcess;
  let client: LatchkeyClient;
  let env: Record<string, string>;

  beforeAll(async () => {
    upstream = await startUpstream();
    redis = store === "redis" ? await startRedis() : undefined;
    env = {
      JWT_SECRET: newSecret(),
      KEY_HASH_SECRET: newSecret(),
      ADMIN_TOKEN,
      GRPC_LISTEN: await newSocket(),
      ...(redis && { REDIS_URL: redis.url, REDIS_COMMAND_TIMEOUT_MS: "1000" }),
    };
    latchkey = await startLatchkey(env, { policy: POLICY });
    envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
    client = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  });
  afterAll(async () => {
    await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
    await redis?.stop();
  });

  const ask = (key: string, name = "authorization") =>
    fetch(`http://127.0.0.1:${envoy.port}/a/x`, {
      headers: { [name]: name === "authorization" ? `Bearer ${key}` : key },
    });
  const reasonOf = async (key: string) => {
    const answer = await ask(key);
    return answer.status === 200 ? "allowed" : answer.headers.get("x-latchkey-reason");
  };
  const register = async () => (await client.registerLegacy({ name: "v1", key_type: "basic" })).api_key;
  const importOne = async (key: string, more: object = {}) => {
    const report = await client.keys.import(JSON.stringify({ api_key: key, role: "basic", ...more }));
    expect(report).toMatchObject({ imported: 1, refused: [] });
  };
  const inPhase = async <T>(phase: Phase, work: () => Promise<T>): Promise<T> => {
    await client.migration.set(phase);
    try {
      return await work();
    } finally {
      await client.migration.set("silent");
    }
  };

  test("a registered V1 key is good in both headers, tells upstream whose it is, and is stored nowhere", async () => {
    const { api_key, key_id, role } = await client.registerLegacy({ name: "old client", key_type: "basic" });
    expect([api_key, role]).toEqual([expect.stringMatching(/^lk1_[A-Za-z0-9]{38}$/), "basic"]);
    for (const name of ["authorization", "x-api-key"]) expect((await ask(api_key, name)).status).toBe(200);
    expect(new Map(upstream.requests.at(-1)?.headers).get("x-latchkey-key-id")).toBe(key_id);
    expect(await client.validate(api_key)).toMatchObject({ valid: true, key_id, expires_at: null });
    expect(await client.keys.show(key_id)).toMatchObject({
      legacy: true,
      expires_at: null,
      status: "active",
    });
    if (redis) {
      for (const name of (await redis.cli("--scan")).split("\n")) expect(name).not.toContain(api_key);
      expect(await redis.cli("GET", `api_key:${key_id}`)).not.toContain(api_key.slice(4));
    }
    expect(latchkey.output()).not.toContain(api_key);
  });

  test("a typo is refused, and so is a JWT that pretends", async () => {
    const key = await register();
    const typo = key.slice(0, -1) + (key.endsWith("A") ? "B" : "A");
    expect(await reasonOf(typo)).toBe("credential_invalid");
    expect(await reasonOf(`${key}.a.b`)).toBe("credential_invalid");
    expect(await reasonOf("never-heard-of-it")).toBe("credential_invalid");
  });

  test("it is limited, disabled, revoked and introspected as any key", async () => {
    const { api_key, key_id } = await client.registerLegacy({ name: "n", key_type: "tight" });
    const statuses: number[] = [];
    for (let sent = 0; sent < 4; sent++) statuses.push((await ask(api_key)).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    await client.keys.change(key_id, { disabled: true });
    expect(await reasonOf(api_key)).toBe("key_disabled");
    await client.keys.change(key_id, { disabled: false });
    expect(await client.introspect(api_key)).toMatchObject({ active: true, jti: key_id });
    await createClient({ url: `http://${latchkey.http}` }).revoke(api_key);
    expect(await reasonOf(api_key)).toBe("key_revoked");
    await expect(client.migrate(api_key)).rejects.toMatchObject({ reason: "key-revoked" });
  });

  test("migrating gives a V2 key of the same family and buckets; again the same; the V1 key stays good", async () => {
    const { api_key, key_id } = await client.registerLegacy({ name: "n", key_type: "tight" });
    const v2 = await client.migrate(api_key);
    expect(v2.api_key.split(".").length).toBe(3);
    expect((await client.migrate(api_key)).key_id).toBe(v2.key_id);
    const [old, fresh] = [await client.keys.show(key_id), await client.keys.show(v2.key_id)];
    expect([old.family, old.status, old.migrated_at !== null]).toEqual([fresh.family, "active", true]);
    expect([await reasonOf(api_key), await reasonOf(v2.api_key), await reasonOf(api_key)]).toEqual([
      "allowed",
      "allowed",
      "allowed",
    ]);
    expect(await reasonOf(v2.api_key)).toBe("rate_limited");
    await client.keys.rotate(v2.key_id);
    const third = await client.migrate(api_key);
    expect((await client.keys.show(third.key_id)).family).toBe(old.family);
    await expect(client.migrate("lk1_none")).rejects.toMatchObject({ status: 401 });
  });

  /** Before the phase begins: an untouched V1 key, one that was migrated, the V2 key of it. */
  const phases: readonly (readonly [
    phase: Phase,
    wanted: {
      readonly v1: string;
      readonly registered: number;
      readonly asV2: boolean;
      readonly headers: readonly string[];
    },
  ])[] = [
    ["silent", { v1: "allowed", registered: 201, asV2: false, headers: [] }],
    ["gradual", { v1: "allowed", registered: 201, asV2: true, headers: [] }],
    ["active", { v1: "allowed", registered: 201, asV2: true, headers: ["link", "x-latchkey-upgrade"] }],
    [
      "deprecated",
      {
        v1: "allowed",
        registered: 201,
        asV2: true,
        headers: ["deprecation", "link", "sunset", "x-latchkey-upgrade"],
      },
    ],
    ["removed", { v1: "legacy_key_removed", registered: 410, asV2: false, headers: [] }],
  ];
  test.each(phases)("in the phase %s", async (phase, wanted) => {
    const [v1, migrated] = [await register(), await register()];
    const v2 = (await client.migrate(migrated)).api_key;
    await inPhase(phase, async () => {
      expect(await reasonOf(v1)).toBe(wanted.v1);
      // Its overlap runs only from `deprecated` on, and is not over.
      expect([await reasonOf(migrated), await reasonOf(v2)]).toEqual(["allowed", "allowed"]);
      const answer = await ask(wanted.v1 === "allowed" ? v1 : v2);
      const names = ["deprecation", "link", "sunset", "x-latchkey-upgrade"];
      expect(names.filter((name) => answer.headers.has(name))).toEqual(wanted.headers);
      if (wanted.headers.includes("deprecation")) {
        expect(answer.headers.get("deprecation")).toMatch(/^@\d{10}$/);
        expect(Date.parse(answer.headers.get("sunset") ?? "")).toBe(Date.parse("2027-03-01"));
      }
      const registering = await fetch(`http://${latchkey.http}/api/auth/register_api_key`, {
        method: "POST",
        headers: { "content-type": "application/json", "accept-key-version": "2" },
        body: JSON.stringify({ name: "n", key_type: "basic" }),
      });
      expect(registering.status).toBe(wanted.registered);
      expect((await registering.text()).includes("eyJ")).toBe(wanted.asV2);
      // Removed or not: whoever comes late can still exchange the key, until migrate_until.
      expect((await client.migrate(v1)).role).toBe("basic");
    });
    expect([await reasonOf(v1), await reasonOf(migrated), await reasonOf(v2)]).toEqual([
      "allowed",
      "allowed",
      "allowed",
    ]);
  });

  test("forth and back through all phases under traffic, nobody is refused whom no phase refuses", async () => {
    const migrated = await register();
    const v2 = (await client.migrate(migrated)).api_key;
    const refused: (string | null)[] = [];
    let going = true;
    const traffic = [migrated, v2].map(async (key) => {
      while (going) {
        const reason = await reasonOf(key);
        if (reason !== "allowed" && reason !== "rate_limited") refused.push(reason);
      }
    });
    for (const phase of [
      "gradual",
      "active",
      "deprecated",
      "removed",
      "deprecated",
      "active",
      "silent",
    ] as const)
      await client.migration.set(phase);
    going = false;
    await Promise.all(traffic);
    expect(refused).toEqual([]);
  });

  test("an imported key is good, plain or hashed, and again nothing changes", async () => {
    const [plain, hashed] = [`old-system-${newSecret()}`, `old-system-${newSecret()}`];
    expect([await reasonOf(plain), await reasonOf(hashed)]).toEqual([
      "credential_invalid",
      "credential_invalid",
    ]);
    await importOne(plain, { name: "imported", owner: "acme", created_at: "2020-01-01T00:00:00Z" });
    const api_key_hash = createHash("sha256").update(hashed).digest("hex");
    const line = JSON.stringify({ api_key_hash, role: "basic", name: "h" });
    expect(await client.keys.import(line)).toEqual({ imported: 1, known: 0, refused: [] });
    expect([await reasonOf(plain), await reasonOf(hashed)]).toEqual(["allowed", "allowed"]);
    expect(await client.keys.import(line)).toMatchObject({ imported: 0 });
    // Used once, it is kept under its own hash: the plain key is known as the same one.
    await expect
      .poll(
        async () => (await client.keys.import(JSON.stringify({ api_key: hashed, role: "basic" }))).known,
        {
          timeout: 5000,
        },
      )
      .toBe(1);
    expect(await reasonOf(hashed)).toBe("allowed");
  });

  test("every bad line is refused by its number, never with its key; two of one key at once are one", async () => {
    const secret = `s3cret-${newSecret()}`;
    const bad = [
      "{",
      JSON.stringify({ role: "basic" }),
      JSON.stringify({ api_key: secret, role: "emperor" }),
      JSON.stringify({ api_key: `${secret} x`, role: "basic" }),
      JSON.stringify({ api_key: `${secret}2`, api_key_hash: "0".repeat(64), role: "basic" }),
      JSON.stringify({ api_key_hash: "zz", role: "basic" }),
      JSON.stringify({ api_key: `${secret}3`, role: "basic", expires_at: "2001-01-01T00:00:00Z" }),
      JSON.stringify({ api_key: "a.b.ccccccc", role: "basic" }),
      JSON.stringify({ api_key: `${secret}4`, role: "basic", name: "\u0000" }),
      JSON.stringify({ api_key: `${secret}5`, role: "basic", admin: true }),
    ];
    const good = JSON.stringify({ api_key: `${secret}6`, role: "basic" });
    const report = await client.keys.import([...bad, good, good].join("\n"), { first_line: 5 });
    expect(report.refused.map(({ line }) => line)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16]);
    expect(report.imported).toBe(1);
    expect(JSON.stringify(report)).not.toContain("s3cret");
    const racing = JSON.stringify({ api_key: `${secret}7`, role: "basic" });
    const both = await Promise.all([client.keys.import(racing), client.keys.import(racing)]);
    expect(both.map(({ imported }) => imported).sort()).toEqual([0, 1]);
  });

  test("the command line imports CSV, says what it refused, and shows how far the migration is", async () => {
    const file = join(latchkey.cwd, "keys.csv");
    const key = `from-csv-${newSecret()}`;
    await writeFile(
      file,
      `\uFEFFname,api_key,role,notes\r\n"A ""quoted"", name",${key},basic,x\r\nbroken,,basic,\r\n`,
    );
    const cli = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
    const dry = runLatchkey(["import", file, "--dry-run"], cli);
    expect(dry.stdout).toContain("1 would be imported");
    expect(await reasonOf(key)).toBe("credential_invalid");
    const { status, stdout, stderr } = runLatchkey(["import", file], cli);
    expect([status, stdout]).toEqual([1, "3 lines: 1 imported, 0 known already, 1 refused\n"]);
    expect(stderr).toContain(`${file}:3: needs api_key or api_key_hash`);
    expect(await reasonOf(key)).toBe("allowed");
    const shown = runLatchkey(["migration", "status"], cli);
    expect(shown.stdout).toMatch(/^silent: .*as the policy says|an operator's choice/);
    expect(shown.stdout).toMatch(/basic +\d+/);
    expect(runLatchkey(["migration", "set", "nowhere"], cli).status).toBe(2);
    expect(runLatchkey(["migration", "set", "--from-policy"], cli).stdout).toContain("as the policy says");
  });

  test("an import that was killed half-way is begun anew, and every key is there once; half a line and odd bytes are told", async () => {
    const file = join(latchkey.cwd, "many.jsonl");
    const line = (at: number) => JSON.stringify({ api_key: `many-keys-number-${at}`, role: "tight" });
    const good = Array.from({ length: 6000 }, (_, at) => line(at)).join("\n");
    const odd = Buffer.from([0x7b, 0xff, 0xfe, 0x7d]);
    await writeFile(
      file,
      Buffer.concat([Buffer.from(`${good}\n`), odd, Buffer.from(`\n${line(1).slice(0, 20)}`)]),
    );
    const cli = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
    const keysOf = async () =>
      (await client.migration.show()).roles.find(({ role }) => role === "tight")?.keys ?? 0;
    const before = await keysOf();
    const { PATH } = process.env;
    const killed = await startChild(process.execPath, [PROGRAM, "import", file], { env: { PATH, ...cli } });
    await expect.poll(keysOf, { timeout: 20_000, interval: 10 }).toBeGreaterThan(before);
    await killed.stop("SIGKILL");
    const { stdout, stderr, status } = runLatchkey(["import", file], cli);
    expect(await keysOf()).toBe(before + 6000);
    const [, imported = 0, known = 0] = /: (\d+) imported, (\d+) known/.exec(stdout)?.map(Number) ?? [];
    expect([imported + known, known > 0, status]).toEqual([6000, true, 1]);
    expect(stderr).toContain(":6001: is not JSON");
    expect(stderr).toContain(":6002: is not JSON");
  });

  test("after a change of KEY_HASH_SECRET keys found under the old one are good, and kept under the new", async () => {
    const key = await register();
    await latchkey.stop();
    const rotated = {
      ...env,
      KEY_HASH_SECRET: newSecret(),
      KEY_HASH_SECRET_PREVIOUS: env["KEY_HASH_SECRET"] ?? "",
    };
    const { dataDir: DATA_DIR } = latchkey;
    latchkey = await startLatchkey({ ...rotated, DATA_DIR }, { policy: POLICY });
    client = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    await expect.poll(() => reasonOf(key), { timeout: 5000 }).toBe("allowed");
    const { key_id } = await client.validate(key);
    await expect
      .poll(async () => (await client.keys.import(JSON.stringify({ api_key: key, role: "basic" }))).known)
      .toBe(1);
    expect((await client.keys.show(key_id)).status).toBe("active");
  });
});

test("without an instance the import goes into the store itself, under its lock", async () => {
  const own = await startLatchkey({ ADMIN_TOKEN }, { policy: POLICY });
  const file = join(own.cwd, "keys.jsonl");
  const key = `offline-${newSecret()}`;
  await writeFile(file, `${JSON.stringify({ api_key: key, role: "basic" })}\n`);
  const offline = { DATA_DIR: own.dataDir, POLICY_FILE: join(own.cwd, "latchkey.yaml") };
  expect(runLatchkey(["import", file], offline)).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("another process uses"),
  });
  await own.stop();
  expect(runLatchkey(["import", file], offline)).toMatchObject({
    status: 0,
    stdout: "1 lines: 1 imported, 0 known already, 0 refused\n",
  });
  const again = await startLatchkey({ ADMIN_TOKEN, DATA_DIR: own.dataDir }, { policy: POLICY });
  expect(await createClient({ url: `http://${again.http}` }).validate(key)).toMatchObject({ role: "basic" });
  await again.stop();
});
