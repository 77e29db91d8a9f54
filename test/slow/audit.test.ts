import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { startChild } from "../../scripts/child.ts";
import { redisBinaries } from "../../scripts/redis-binary.ts";
import { createClient } from "../../src/client/client.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runLatchkey } from "../support/program.ts";
import { startRedis } from "../support/redis.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const AUDIT_KEY = newSecret();
const SECRETS = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), ADMIN_TOKEN, AUDIT_KEY };

describe.each(["embedded", "redis"] as const)("the audit log on the %s store", (store) => {
  test("has the events of keys and the denied requests, in one chain over a restart", async () => {
    const redis = store === "redis" ? await startRedis() : undefined;
    const env = {
      JWT_SECRET: newSecret(),
      KEY_HASH_SECRET: newSecret(),
      ADMIN_TOKEN,
      AUDIT_KEY,
      ...(redis && {
        REDIS_URL: redis.url,
      }),
    };
    const [first, upstream] = await Promise.all([startLatchkey(env), startUpstream()]);
    const envoy = await startEnvoy({ authzTarget: first.grpc, upstreamPort: upstream.port });
    const client = createClient({ url: `http://${first.operator}`, token: ADMIN_TOKEN });
    const { api_key, key_id } = await client
      .register({ name: "evil\u0085name", key_type: "contributor" })
      .catch(() => client.register({ name: "a name", key_type: "contributor" }));
    await client.registerLegacy({ name: "v1", key_type: "basic" });
    const denied = await fetch(`http://127.0.0.1:${envoy.port}/v1/nodes/x?token=in-the-query`, {
      headers: { authorization: `Bearer ${api_key}` },
    });
    expect(denied.status).toBe(403);
    await client.keys.revoke(key_id);
    const file = join(first.cwd, "logs/api.log");
    const lines = () => readFileSync(file, "utf8").trimEnd().split("\n");
    const parsed = () => lines().map((line) => JSON.parse(line));
    // Lines about requests and about keys may come in either order.
    const kinds = () => parsed().map(({ event, kind }) => event ?? kind);
    const both = expect.arrayContaining(["key_revoked", "request"]);
    await expect.poll(kinds).toEqual(both);
    expect(lines().every((line) => line.includes("API_AUDIT"))).toBe(true);
    expect(parsed()).toContainEqual(
      expect.objectContaining({ kind: "lifecycle", event: "key_registered", key_id, outcome: "done" }),
    );
    expect(parsed()).toContainEqual(
      expect.objectContaining({
        kind: "request",
        reason: "route_unknown",
        key_id,
        path: "/v1/nodes/x",
        request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      }),
    );
    renameSync(file, `${file}.1`);
    process.kill(first.pid, "SIGHUP");
    await client.keys.list();
    await envoy.stop();
    await first.stop();
    const second = await startLatchkey({ ...env, DATA_DIR: first.dataDir, AUDIT_FILE: file });
    const again = createClient({ url: `http://${second.operator}`, token: ADMIN_TOKEN });
    await again.register({ name: "later", key_type: "basic" });
    await expect.poll(() => parsed().length).toBeGreaterThan(0);
    const { events } = await again.audit();
    expect(events.map(({ event }) => event)).toEqual([
      "key_registered",
      "legacy_key_registered",
      "key_revoked",
      "key_registered",
    ]);
    const env2 = { LATCHKEY_URL: `http://${second.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
    expect(runLatchkey(["audit", "tail", "-n", "1"], env2).stdout).toMatch(
      /key_registered {2}basic_\S+ {2}by admin:/,
    );
    await second.stop();
    const verified = runLatchkey(["audit", "verify", file, `${file}.1`], { AUDIT_KEY });
    expect(verified).toMatchObject({ status: 0, stdout: expect.stringContaining("none changed") });
    // The shell pattern `logs/api.log*` includes other files beside the log.
    const all = readdirSync(dirname(file)).filter((name) => name.startsWith("api.log"));
    expect(all.length).toBeGreaterThan(2);
    const paths = all.map((name) => join(dirname(file), name));
    expect(runLatchkey(["audit", "verify", ...paths], { AUDIT_KEY })).toMatchObject({ status: 0 });
    const alone = runLatchkey(["audit", "verify", file], { AUDIT_KEY });
    expect(alone).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/the beginning of \w+ is missing/),
    });
    const [, from = ""] = /--from (\w+:\d+)/.exec(alone.stderr) ?? [];
    expect(runLatchkey(["audit", "verify", file, "--from", from], { AUDIT_KEY })).toMatchObject({
      status: 0,
    });
    writeFileSync(`${file}.empty`, "");
    expect(runLatchkey(["audit", "verify", `${file}.empty`], { AUDIT_KEY })).toMatchObject({ status: 1 });
    expect(runLatchkey(["audit", "verify", file], { AUDIT_KEY: newSecret() }).status).toBe(1);
    expect(runLatchkey(["audit", "verify", file]).status).toBe(2);
    await upstream.stop();
    await redis?.stop();
  });

  test("loses no event of a killed instance, and continues its chain", async () => {
    const redis = store === "redis" ? await startRedis() : undefined;
    const env = {
      ...SECRETS,
      ...(redis && { REDIS_URL: redis.url }),
    };
    let latchkey = await startLatchkey(env);
    const file = join(latchkey.cwd, "logs/api.log");
    const acknowledged: string[] = [];
    for (const round of [1, 2]) {
      const client = createClient({ url: `http://${latchkey.http}`, token: ADMIN_TOKEN });
      const registering = Array.from({ length: 4 * round }, (_, at) =>
        client
          .register({ name: `key ${at}`, key_type: "basic" })
          .then(({ key_id }) => void acknowledged.push(key_id)),
      );
      // Stops while some registrations are acknowledged and some are not. The log must have the acknowledged ones.
      await Promise.race(registering);
      await latchkey.stop("SIGKILL");
      await Promise.allSettled(registering);
      latchkey = await startLatchkey({ ...env, DATA_DIR: latchkey.dataDir, AUDIT_FILE: file });
    }
    const loggedIds = () =>
      readFileSync(file, "utf8")
        .split("\n")
        .flatMap((line) => (line === "" ? [] : [JSON.parse(line).key_id]));
    // Another instance claims the events that a killed one had read and not written, after a minute.
    const missing = () => acknowledged.filter((id) => !loggedIds().includes(id));
    await expect.poll(missing, { timeout: 180_000 }).toEqual([]);
    expect(acknowledged.length).toBeGreaterThanOrEqual(2);
    await latchkey.stop();
    expect(runLatchkey(["audit", "verify", file], { AUDIT_KEY })).toMatchObject({ status: 0 });
    const checkpoints = join(latchkey.cwd, "stdout");
    writeFileSync(checkpoints, latchkey.output());
    const against = ["audit", "verify", file, "--checkpoints", checkpoints];
    expect(runLatchkey(against, { AUDIT_KEY })).toMatchObject({ status: 0 });
    const [, ...rest] = readFileSync(file, "utf8").trimEnd().split("\n").reverse();
    writeFileSync(file, `${rest.reverse().join("\n")}\n`);
    expect(runLatchkey(["audit", "verify", file], { AUDIT_KEY })).toMatchObject({ status: 0 });
    const cut = runLatchkey(against, { AUDIT_KEY });
    expect(cut).toMatchObject({ status: 1, stderr: expect.stringContaining("the end is cut off") });
    await redis?.stop();
  });
});

describe("calls of the HTTP listeners", () => {
  test("that are denied, and changes by operators, leave a line with actor, call and reason", async () => {
    const latchkey = await startLatchkey({ ...SECRETS, HTTP_TRUSTED_HOPS: "1" });
    const url = `http://${latchkey.http}`;
    const admin = createClient({ url, token: ADMIN_TOKEN });
    const key = await admin.register({ name: "n", key_type: "basic" });
    await admin.limits.reset(key.key_id);
    const call = (method: string, path: string, token?: string, body?: object) =>
      fetch(`${url}${path}`, {
        method,
        headers: {
          "x-forwarded-for": "192.0.2.9",
          ...(token && { authorization: `Bearer ${token}` }),
          ...(body && { "content-type": "application/json" }),
        },
        ...(body && { body: JSON.stringify(body) }),
      }).then(({ status }) => status);
    expect(await call("GET", "/api/admin/keys")).toBe(401);
    expect(await call("GET", "/api/admin/keys", "no-such-token")).toBe(401);
    const holder = await admin.register({ name: "m", key_type: "basic" });
    expect(await call("DELETE", `/api/admin/keys/${key.key_id}`, holder.api_key)).toBe(403);
    await admin.keys.rotate(holder.key_id);
    await admin.keys.revoke(holder.key_id);
    expect(await call("POST", "/api/auth/v2/refresh", undefined, { current_key: holder.api_key })).toBe(401);
    expect(await call("GET", "/api/admin/keys", ADMIN_TOKEN)).toBe(200);
    const file = join(latchkey.cwd, "logs/api.log");
    const lines = () =>
      readFileSync(file, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
    const access = () => lines().filter(({ kind }) => kind === "access");
    await expect.poll(() => access().length).toBe(7);
    const from = {
      address: "192.0.2.9",
      outcome: "refused",
      request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    };
    const operator = expect.stringMatching(/^admin:[0-9a-f]{8}$/);
    expect(access()).toMatchObject([
      {
        actor: operator,
        method: "DELETE",
        route: "/api/admin/limits/{key_id}",
        key_id: key.key_id,
        outcome: "done",
      },
      { ...from, actor: "anonymous", route: "/api/admin/keys", status: 401, reason: "operator_required" },
      { ...from, actor: "anonymous", route: "/api/admin/keys", status: 401, reason: "credential_invalid" },
      {
        ...from,
        actor: `key:${holder.key_id}`,
        method: "DELETE",
        key_id: key.key_id,
        status: 403,
        reason: "operator_scope_missing",
      },
      { actor: operator, route: "/api/admin/keys/{key_id}/rotate", key_id: holder.key_id, outcome: "done" },
      { actor: operator, method: "DELETE", key_id: holder.key_id, outcome: "done" },
      {
        ...from,
        actor: `key:${holder.key_id}`,
        route: "/api/auth/v2/refresh",
        status: 401,
        reason: "key_revoked",
      },
    ]);
    await latchkey.stop();
  });
});

test("events can be filtered and read page by page, with the required scope only", async () => {
  const latchkey = await startLatchkey(SECRETS);
  const url = `http://${latchkey.operator}`;
  const admin = createClient({ url, token: ADMIN_TOKEN });
  expect(await admin.audit()).toEqual({ events: [], next_cursor: null, previous_cursor: null });
  const keys = [];
  for (let at = 0; at < 4; at++)
    keys.push(await admin.register({ name: `${at}`, key_type: "basic", owner: `o${at % 2}` }));
  const self = await createClient({ url }).register({ name: "self", key_type: "basic" });
  const [{ key_id, api_key } = self] = keys;
  await admin.keys.revoke(key_id);
  const idsOf = async (query: Parameters<typeof admin.audit>[0]) =>
    (await admin.audit(query)).events.map((event) => event.key_id);
  const ids = keys.map((key) => key.key_id);
  expect(await idsOf({ owner: "o1" })).toEqual([ids[1], ids[3]]);
  expect(await idsOf({ event: "key_registered", owner: "o0", limit: 1 })).toEqual([ids[2]]);
  expect(await idsOf({ key_id })).toEqual([key_id, key_id]);
  expect(await idsOf({ actor: "anonymous" })).toEqual([self.key_id]);
  expect(await idsOf({ outcome: "refused" })).toEqual([]);
  // Reads page by page with one event each, also where no event matches.
  const first = await admin.audit({ limit: 6 });
  let after = first.events[0]?.cursor ?? "";
  const seen = [];
  for (let turn = 0; turn < 3; turn++) {
    const page = await admin.audit({ after, owner: "o0", limit: 1 });
    seen.push(...page.events.map((event) => `${event.event} ${event.key_id}`));
    after = page.next_cursor ?? "";
  }
  expect(seen).toEqual([`key_registered ${ids[2]}`, `key_revoked ${key_id}`]);
  expect((await admin.audit({ after })).next_cursor).toBe(after);
  const statusOf = async (query: string, token = ADMIN_TOKEN) =>
    (await fetch(`${url}/api/admin/audit?${query}`, { headers: { authorization: `Bearer ${token}` } }))
      .status;
  for (const bad of [
    "limit=0",
    "limit=501",
    "limit=x",
    "after=nowhere",
    "outcome=maybe",
    "event=",
    "from=1",
    "owner=a&owner=b",
  ])
    expect([bad, await statusOf(bad)]).toEqual([bad, 400]);
  expect(await statusOf("", api_key)).toBe(401);
  expect(await statusOf("", self.api_key)).toBe(403);
  const reader = await admin.register({ name: "reader", key_type: "admin", scopes: ["audit:read"] });
  expect(await statusOf("", reader.api_key)).toBe(200);
  const other = await admin.register({ name: "other", key_type: "admin", scopes: ["keys:read"] });
  expect(await statusOf("", other.api_key)).toBe(403);
  const env = { LATCHKEY_URL: url, LATCHKEY_TOKEN: reader.api_key };
  const tail = runLatchkey(["audit", "tail", "--key-id", key_id, "--event", "key_revoked"], env);
  expect(tail.stdout.trim().split("\n")).toEqual([
    expect.stringContaining(`key_revoked  ${key_id}  by admin:`),
  ]);
  expect(runLatchkey(["audit", "tail", "-n", "0"], env).status).toBe(2);
  expect(runLatchkey(["audit", "tail", "--outcome", "maybe"], env)).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("#/query/outcome"),
  });
  await latchkey.stop();
});

test("each event of a fleet is in exactly one log", async () => {
  const redis = await startRedis();
  const env = {
    JWT_SECRET: newSecret(),
    KEY_HASH_SECRET: newSecret(),
    ADMIN_TOKEN,
    AUDIT_KEY,
    REDIS_URL: redis.url,
  };
  const instances = await Promise.all([startLatchkey(env), startLatchkey(env)]);
  const names = Array.from({ length: 10 }, (_, at) => `key ${at}`);
  for (const [at, name] of names.entries()) {
    const { operator } = instances[at % 2] ?? instances[0];
    await createClient({ url: `http://${operator}`, token: ADMIN_TOKEN }).register({
      name,
      key_type: "basic",
    });
  }
  const written = () =>
    instances.flatMap(({ cwd }) =>
      readFileSync(join(cwd, "logs/api.log"), "utf8")
        .trimEnd()
        .split("\n")
        .filter((line) => line.includes("key_registered"))
        .map((line) => JSON.parse(line).event_id),
    );
  await expect.poll(() => written().length).toBe(10);
  expect(new Set(written()).size).toBe(10);
  await Promise.all(instances.map((instance) => instance.stop()));
  await redis.stop();
});

test("the monitoring commands of the deployment guide work as docs/guides/migration.md has them", async () => {
  const redis = await startRedis();
  const latchkey = await startLatchkey({
    JWT_SECRET: newSecret(),
    ADMIN_TOKEN,
    REDIS_URL: redis.url,
  });
  const { key_id } = await createClient({ url: `http://${latchkey.http}` }).register({
    name: "n",
    key_type: "basic",
  });
  const guide = readFileSync(new URL("../../docs/guides/migration.md", import.meta.url), "utf8");
  const [, block = ""] = /## Monitoring\n[\s\S]*?```sh\n([\s\S]*?)```/.exec(guide) ?? [];
  const [validate = "", ping = "", scan = "", tail = ""] = block.trim().split("\n");
  // The commands name no port, so the redis-cli on the PATH connects to the test's Redis.
  const bin = join(latchkey.cwd, "bin");
  mkdirSync(bin);
  const { cli, env } = await redisBinaries();
  writeFileSync(join(bin, "redis-cli"), `#!/bin/sh\nexec ${cli} -p ${redis.port} "$@"\n`, { mode: 0o755 });
  const run = (line: string) => {
    const options = {
      cwd: latchkey.cwd,
      env: { ...env, PATH: `${bin}:${process.env["PATH"]}` },
      encoding: "utf8",
    } as const;
    return spawnSync("bash", ["-c", line.replace("localhost:8000", latchkey.http)], options).stdout;
  };
  expect(run(validate)).toMatch(/^HTTP\/1\.1 401 /);
  expect(run(ping)).toBe("PONG\n");
  expect(run(scan)).toBe(`api_key:${key_id}\n`);
  const shown = Promise.withResolvers<string>();
  // On a terminal, grep prints each line immediately.
  const tailing = await startChild("script", ["-qec", tail, "/dev/null"], {
    cwd: latchkey.cwd,
    env: { PATH: process.env["PATH"] },
    onStdoutLine: (line) => line.includes(key_id) && shown.resolve(line),
  });
  expect(await shown.promise).toContain("key_registered");
  await tailing.stop();
  await latchkey.stop();
  await redis.stop();
});

test("denials of an unauthenticated caller cannot fill the volume or displace the events of keys", async () => {
  const bounds = { AUDIT_FILE_MAX: "64KB", AUDIT_FILES: "2" };
  const latchkey = await startLatchkey({ ...SECRETS, ...bounds });
  const file = join(latchkey.cwd, "logs/api.log");
  const client = createClient({ url: `http://${latchkey.http}`, token: ADMIN_TOKEN });
  const { key_id } = await client.register({ name: "kept", key_type: "basic" });
  const files = () =>
    readdirSync(dirname(file))
      .filter((name) => name.startsWith("api.log") && !/chain|lock/.test(name))
      .map((name) => join(dirname(file), name));
  const text = () => files().map((name) => readFileSync(name, "utf8"));
  const metric = async (name: string) => {
    const metrics = await (await fetch(`http://${latchkey.ops}/metrics`)).text();
    return Number(
      metrics
        .split("\n")
        .find((line) => line.startsWith(`latchkey_${name} `))
        ?.split(" ")[1],
    );
  };
  await expect.poll(() => text().join("")).toContain(key_id);
  const deny = () =>
    fetch(`http://${latchkey.http}/api/admin/keys`, { headers: { authorization: "Bearer x" } }).then(
      (response) => response.arrayBuffer(),
    );
  for (let at = 0; at < 75; at++) await Promise.all(Array.from({ length: 20 }, deny));
  await expect.poll(() => metric("audit_throttled_total")).toBeGreaterThan(100);
  await expect.poll(() => metric('audit_lines_total{kind="dropped"}')).toBeGreaterThan(0);
  await latchkey.stop();
  expect(files().length).toBeLessThanOrEqual(3);
  expect(text().join("").length).toBeLessThan(3 * 1.5 * 64 * 1024);
  expect(text().join("")).toContain(key_id);
  expect(runLatchkey(["audit", "verify", ...files()], { AUDIT_KEY })).toMatchObject({ status: 0 });
});
