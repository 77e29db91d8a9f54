import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import type { IssuedKey, Usage } from "../../src/client/types.ts";
import type { DirectChecks } from "../support/direct-checks.ts";
import { connectChecks } from "../support/direct-checks.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import { runHere } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const ADMIN_TOKEN = newSecret();
const OWNERS = ["@SUM", "acme", "other"] as const;
const WAIT = { timeout: 60_000, interval: 200 };
/** A test may begin before midnight and end after it. */
const FROM = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);

const policyWith = ({ openCalls = "10000/s" } = {}) => `
plans:
  small:
    rate_limits:
      - { name: burst, per: key, capacity: 6, refill: 1/h }
      - { name: everyone, per: role, capacity: 1000, refill: 1/h }
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1d, plan: small }
  writer: { scopes: [b], ttl: 1d, refresh_window: 1d }
routes:
  - { path: /a/**, scopes: [a], cost: 2 }
  - { path: /b/**, scopes: [b] }
  - { path: /trial/**, scopes: [a], mode: shadow }
  - { path: /open/**, public: true }
guards: { open_calls: ${openCalls} }
`;

const sumOf = (rows: Usage["usage"], outcome: "allowed" | "denied" | "limited" | "cost") =>
  rows.reduce((sum, row) => sum + (row[outcome] ?? 0), 0);

describe.each(["embedded", "redis"])("usage with the %s store", (store) => {
  let redis: TestedRedis | undefined;
  let env: Readonly<Record<string, string>>;
  let latchkey: TestedLatchkey;
  let admin: LatchkeyClient;
  let checks: DirectChecks;
  const keys = new Map<string, IssuedKey>();
  let successor: string;
  const keyOf = (owner: (typeof OWNERS)[number]) => keys.get(owner) ?? expect.unreachable();
  const familyOf = async (owner: (typeof OWNERS)[number]) =>
    (await admin.keys.show(keyOf(owner).key_id)).family;

  const start = async (more: Readonly<Record<string, string>> = {}, policy = policyWith()) => {
    latchkey = await startLatchkey({ ...env, ...more }, { policy });
    env = { ...env, DATA_DIR: latchkey.dataDir };
    admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    checks = await connectChecks(latchkey.grpc);
  };
  const stop = async () => {
    checks?.close();
    await latchkey?.stop();
  };
  /** An instance stores what it has counted when it stops. */
  const restart = async (...options: Parameters<typeof start>) => {
    await stop();
    await start(...options);
  };
  /** With Redis, waits until the running instance has stored what it has counted. */
  const stored = async () => {
    if (redis === undefined) return restart();
    const counted = async () => sumOf((await admin.ownUsage(successor, { from: FROM })).usage, "allowed");
    await vi.waitFor(async () => expect(await counted()).toBe(2), WAIT);
  };
  const cli = (...args: readonly string[]) =>
    runHere(["usage", ...args], {
      LATCHKEY_URL: `http://${latchkey.operator}`,
      LATCHKEY_TOKEN: ADMIN_TOKEN,
    });
  const get = async (path: string, headers: Readonly<Record<string, string>> = {}) => {
    const authorization = `Bearer ${ADMIN_TOKEN}`;
    const response = await fetch(`http://${latchkey.operator}${path}`, {
      headers: { authorization, ...headers },
    });
    return { response, text: await response.text() };
  };

  beforeAll(async () => {
    if (store === "redis") redis = await startRedis();
    env = {
      ADMIN_TOKEN,
      JWT_SECRET: newSecret(),
      ...(redis && { REDIS_URL: redis.url }),
    };
    await start();
    for (const owner of OWNERS)
      keys.set(owner, await admin.register({ name: "n", key_type: "basic", owner }));
    const { api_key: key } = keyOf("acme");
    const reasons: string[] = [];
    for (const path of ["/a/1", "/a/2", "/a/3", "/a/4", "/b/1", "/nowhere", "/trial/1"])
      reasons.push(await checks.check(path, key));
    expect(reasons).toEqual([
      ...["allowed", "allowed", "allowed", "rate_limited", "scope_missing", "route_unknown"],
      "allowed",
    ]);
    for (const owner of ["other", "@SUM"] as const) await checks.check("/a/1", keyOf(owner).api_key);
    // Nobody's requests.
    await checks.check("/a/1");
    await checks.check("/a/1", "invalid");
    await checks.check("/a/1", `${key.slice(0, -6)}AAAAAA`);
    await checks.check("/open/1");
    ({ api_key: successor } = await admin.keys.rotate(keyOf("other").key_id));
    await checks.check("/a/1", successor);
    await stored();
  });

  afterAll(async () => {
    await stop();
    await redis?.stop();
  });

  test("a holder sees its own requests by day, by hour and by route", async () => {
    const { api_key: key } = keyOf("acme");
    for (const by of ["day", "hour"] as const) {
      const found = await admin.ownUsage(key, { by, from: FROM });
      expect(found).toMatchObject({ by, metering: "on" });
      const sums = (["allowed", "denied", "limited", "cost"] as const).map((one) => sumOf(found.usage, one));
      expect(sums).toEqual([3, 2, 1, 6]);
      expect(found.usage[0]).toMatchObject({ route: null, units: {} });
      expect(Date.parse(found.usage[0]?.time ?? "")).toBeGreaterThan(Date.parse(FROM));
    }
    const { usage } = await admin.ownUsage(key, { by: "route", from: FROM });
    expect(usage).toEqual([
      { time: null, route: "/a/**", allowed: 3, denied: 0, limited: 1, cost: null, units: null },
      { time: null, route: "/b/**", allowed: 0, denied: 1, limited: 0, cost: null, units: null },
    ]);
  });

  test("requests without a valid key, on public routes and in shadow mode are nobody's", async () => {
    const { usage } = await admin.usage.report({ from: FROM });
    expect(usage.map(({ owner, allowed, denied, limited }) => [owner, allowed, denied, limited])).toEqual([
      ["@SUM", 1, 0, 0],
      ["acme", 3, 2, 1],
      ["other", 2, 0, 0],
    ]);
  });

  test("a refreshed key sees what its predecessors used, and nobody else's", async () => {
    expect(sumOf((await admin.ownUsage(successor, { from: FROM })).usage, "allowed")).toBe(2);
    expect(sumOf((await admin.ownUsage(keyOf("other").api_key, { from: FROM })).usage, "allowed")).toBe(2);
    const unknown = ["owner=acme", "family=x", "key_id=x"];
    for (const parameter of unknown) {
      const headers = { authorization: `Bearer ${successor}` };
      const { response } = await get(`/api/auth/v2/usage?${parameter}`, headers);
      expect(response.status).toBe(400);
      expect((await get(`/api/admin/usage?${parameter}`, headers)).response.status).toBe(403);
    }
  });

  test("an operator reads the usage of an owner, of a family and of a key", async () => {
    const family = await familyOf("acme");
    const filters = [{ owner: "acme" }, { family }, { key_id: keyOf("acme").key_id }];
    for (const filter of filters) {
      const { usage, next_cursor: next } = await admin.usage.report({ ...filter, from: FROM });
      expect([sumOf(usage, "allowed"), next]).toEqual([3, null]);
      expect(usage[0]).toMatchObject({ owner: "acme", family });
    }
    for (const filter of [{ owner: "nobody" }, { family: "fam_unknown" }])
      expect((await admin.usage.report({ ...filter, from: FROM })).usage).toEqual([]);
  });

  test("pages follow each other, also in CSV", async () => {
    const found: string[] = [];
    for await (const { owner } of admin.usage.all({ limit: 1, from: FROM })) found.push(owner);
    expect([...new Set(found)]).toEqual(["@SUM", "acme", "other"]);
    const lines: string[] = [];
    let path: string | undefined = `/api/admin/usage?limit=1&from=${FROM}`;
    while (path !== undefined) {
      const { response, text } = await get(path, { accept: "text/csv" });
      expect(response.headers.get("content-type")).toMatch(/^text\/csv/);
      const [head, ...rows] = text.trimEnd().split("\r\n");
      expect(head).toBe("owner,family,time,route,allowed,denied,limited,cost,units");
      lines.push(...rows);
      path = /^<(.+)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1];
    }
    // A spreadsheet would run a cell that begins with @.
    expect(lines.map((line) => line.split(",")[0])).toEqual(
      [...found].map((owner) => (owner === "@SUM" ? `"'@SUM"` : owner)),
    );
  });

  test.each([
    ["from=2027-02-01&to=2027-01-01", "#/query/from", "must be before to"],
    ["from=2027-01-01&to=2027-01-01", "#/query/from", "must be before to"],
    ["from=9999-01-01", "#/query/from", "must be before the present time"],
    ["from=2015-01-01&to=2025-01-01", "#/query/from", "the largest range by day has 401 days"],
    ["from=2025-01-01&to=2026-01-01&by=hour", "#/query/from", "the largest range by hour has 961 hours"],
    ["from=yesterday", "#/query/from", "must be a date such as 2027-01-15"],
    ["from=2027-02-30", "#/query/from", "must be a date such as 2027-01-15"],
    ["to=1700000000", "#/query/to", "must be a date such as 2027-01-15"],
    ["by=month", "#/query/by", "Invalid option"],
    ["cursor=junk", "#/query/cursor", "is not a valid cursor"],
    ["cursor=", "#/query/cursor", "is not a valid cursor"],
    ["cursor=WyJhIl0", "#/query/cursor", "is not a valid cursor"],
    ["owner=b&cursor=WyJhIiwiZiJd", "#/query/cursor", "is not a valid cursor"],
    ["owner=acme&family=x", "#/query/key_id", "give one of key_id, family and owner"],
    ["key_id=../x", "#/query/key_id", "is not a key id"],
    ["owner=", "#/query/owner", "Too small"],
    ["limit=0", "#/query/limit", "must be a whole number from 1 to 500"],
    ["user=x", "#/query/user", "is not a known member"],
  ])("%s is rejected with what to check", async (query, pointer, detail) => {
    const { response, text } = await get(`/api/admin/usage?${query}`);
    expect(response.status).toBe(400);
    const { errors } = JSON.parse(text);
    expect(errors).toEqual([{ pointer, detail: expect.stringContaining(detail) }]);
  });

  test("the usage of an unknown key is not found", async () => {
    const { response } = await get("/api/admin/usage?key_id=basic_1700000000_abcdefghijklmnopqrstuv");
    expect(response.status).toBe(404);
  });

  test("a holder sees its plan, what is left of its own limits, and nothing of what others share", async () => {
    const { api_key: key } = keyOf("@SUM");
    expect(await admin.ownLimits(key)).toEqual({
      plan: "small",
      rate_limits: [
        {
          name: "burst",
          per: "key",
          capacity: 6,
          refill_per_second: 1 / 3600,
          remaining: expect.any(Number),
        },
        { name: "everyone", per: "role", capacity: 1000, refill_per_second: 1 / 3600, remaining: null },
      ],
      quotas: [],
    });
  });

  test("the command line prints a table, CSV and JSON", async () => {
    const table = await cli("--owner", "acme", "--from", FROM, "--by", "route");
    expect(table.stdout.split("\n").map((line) => line.split(/\s+/).slice(2))).toEqual([
      ["ROUTE", "ALLOWED", "DENIED", "LIMITED"],
      ["/a/**", "3", "0", "1"],
      ["/b/**", "0", "1", "0"],
      ["1", "1"],
      [],
    ]);
    const csv = await cli("--csv", "--from", FROM);
    expect(csv.stdout).toMatch(/^owner,family,.*\n"'@SUM",.*\nacme,/);
    const json = await cli("--json", "--key-id", keyOf("acme").key_id, "--from", FROM);
    expect(JSON.parse(json.stdout.split("\n")[0] ?? "")).toMatchObject({ owner: "acme", allowed: 3 });
    expect((await cli("--owner", "nobody")).stdout).toBe("No usage in this range.\n");
    const wrong = await cli("--from", "2015-01-01", "--to", "2025-01-01");
    expect([wrong.status, wrong.stderr]).toEqual([
      1,
      expect.stringContaining("the largest range by day has"),
    ]);
    expect(await cli("--key-id", keyOf("acme").api_key)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("this is a key, not a key's id"),
    });
  });

  test("both calls of a holder are charged to its address", async () => {
    await restart({ USAGE: "off" }, policyWith({ openCalls: "3/h" }));
    const { api_key: key } = keyOf("acme");
    await checks.check("/b/1", key);
    expect((await admin.ownUsage(key, { from: FROM })).metering).toBe("off");
    for (const call of [admin.ownLimits, admin.ownLimits]) await call(key);
    for (const call of [admin.ownLimits, admin.ownUsage])
      await expect(call(key)).rejects.toMatchObject({ status: 429, reason: "too-many-calls" });
  });

  test("with USAGE=off nothing was counted, and after a restart what was counted before is there", async () => {
    const today = Math.floor(Date.now() / 86_400_000);
    await redis?.cli("HSET", "latchkey:usage:bytes", `d${today}`, "2000000");
    await restart(redis && { USAGE_MAX_BYTES: "1MB" });
    const { usage } = await admin.ownUsage(keyOf("acme").api_key, { from: FROM });
    expect([sumOf(usage, "denied"), sumOf(usage, "limited")]).toEqual([2, 1]);
  });

  if (store === "redis") {
    test("at USAGE_MAX_BYTES counting stops, Checks go on, and the metrics show it", async () => {
      const { api_key: key } = keyOf("acme");
      await expect.poll(async () => (await readMetrics(latchkey.ops)).get("latchkey_usage_stopped")).toBe(1);
      expect(await checks.check("/b/1", key)).toBe("scope_missing");
      expect((await admin.ownUsage(key, { from: FROM })).metering).toBe("stopped");
      // Scrapes within a short time share one text.
      await vi.waitFor(async () => {
        const metrics = await readMetrics(latchkey.ops);
        expect(metrics.get('latchkey_usage_dropped_total{why="stopped"}')).toBe(1);
        expect(metrics.get("latchkey_usage_bytes")).toBeGreaterThan(1024 ** 2);
      }, WAIT);
    });
  }
});
