import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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

describe.each(["embedded", "redis"] as const)("the audit log on the %s store", (store) => {
  test("tells what happened to keys and which requests were refused, unbroken over a restart, and holds no secret", async () => {
    const redis = store === "redis" ? await startRedis() : undefined;
    const env = {
      JWT_SECRET: newSecret(),
      KEY_HASH_SECRET: newSecret(),
      ADMIN_TOKEN,
      AUDIT_KEY,
      ...(redis && {
        REDIS_URL: redis.url,
        REDIS_COMMAND_TIMEOUT_MS: "1000",
      }),
    };
    const [first, upstream] = await Promise.all([startLatchkey(env), startUpstream()]);
    const envoy = await startEnvoy({ authzTarget: first.grpc, upstreamPort: upstream.port });
    const client = createClient({ url: `http://${first.operator}`, token: ADMIN_TOKEN });
    const { api_key, key_id } = await client
      .register({ name: "evil\u0085name", key_type: "contributor" })
      .catch(() => client.register({ name: "a name", key_type: "contributor" }));
    const v1 = (await client.registerLegacy({ name: "v1", key_type: "basic" })).api_key;
    const asked = await fetch(`http://127.0.0.1:${envoy.port}/v1/nodes/x?token=in-the-query`, {
      headers: { authorization: `Bearer ${api_key}` },
    });
    expect(asked.status).toBe(403);
    await client.keys.revoke(key_id);
    const file = join(first.cwd, "logs/api.log");
    const lines = () => readFileSync(file, "utf8").trimEnd().split("\n");
    const told = () => lines().map((line) => JSON.parse(line));
    await expect.poll(() => told().map(({ event }) => event), { timeout: 5000 }).toContain("key_revoked");
    expect(lines().every((line) => line.includes("API_AUDIT"))).toBe(true);
    expect(told()).toContainEqual(
      expect.objectContaining({ kind: "lifecycle", event: "key_registered", key_id, outcome: "done" }),
    );
    expect(told()).toContainEqual(
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
    await expect.poll(() => told().length, { timeout: 5000 }).toBeGreaterThan(0);
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
    expect(verified).toMatchObject({ status: 0, stdout: expect.stringContaining("nothing changed") });
    expect(runLatchkey(["audit", "verify", file], { AUDIT_KEY: newSecret() }).status).toBe(1);
    expect(runLatchkey(["audit", "verify", file]).status).toBe(2);
    const everything = `${first.output()}${second.output()}${readFileSync(file, "utf8")}${readFileSync(`${file}.1`, "utf8")}`;
    const secrets = [
      ...Object.values(env).filter((value) => value.length > 30 && !value.startsWith("redis:")),
      ...(redis ? [new URL(redis.url).password] : []),
    ];
    for (const secret of [...secrets, api_key, v1, "in-the-query"]) expect(everything).not.toContain(secret);
    await upstream.stop();
    await redis?.stop();
  });
});

test("each event of a fleet is in exactly one log", async () => {
  const redis = await startRedis();
  const env = {
    JWT_SECRET: newSecret(),
    KEY_HASH_SECRET: newSecret(),
    ADMIN_TOKEN,
    AUDIT_KEY,
    REDIS_URL: redis.url,
    // A busy machine takes longer than Redis does.
    REDIS_COMMAND_TIMEOUT_MS: "1000",
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
  await expect.poll(() => written().length, { timeout: 10_000 }).toBe(10);
  expect(new Set(written()).size).toBe(10);
  await Promise.all(instances.map((instance) => instance.stop()));
  await redis.stop();
});

test("the deployment guide's own monitoring lines work, as docs/migration.md has them", async () => {
  const redis = await startRedis();
  const latchkey = await startLatchkey({ JWT_SECRET: newSecret(), ADMIN_TOKEN, REDIS_URL: redis.url });
  const { key_id } = await createClient({ url: `http://${latchkey.http}` }).register({
    name: "n",
    key_type: "basic",
  });
  const guide = readFileSync(new URL("../../docs/migration.md", import.meta.url), "utf8");
  const [, block = ""] = /## Monitoring\n[\s\S]*?```sh\n([\s\S]*?)```/.exec(guide) ?? [];
  const [validate = "", ping = "", scan = "", tail = ""] = block.trim().split("\n");
  // What is on the PATH speaks to our Redis: the lines name no port.
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
  // On a terminal, where grep shows a line as it comes.
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
