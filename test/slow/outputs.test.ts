import type { ChildProcess, StdioOptions } from "node:child_process";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { newSecret } from "../support/keys.ts";
import { PROGRAM, runLatchkey } from "../support/program.ts";
import { freePort, startRedis } from "../support/redis.ts";

const ADMIN_TOKEN = newSecret();
const AUDIT_KEY = newSecret();
const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

/** A process whose outputs the test controls; its readiness shows that it works. */
async function start(stdio: StdioOptions, more: Readonly<Record<string, string>> = {}) {
  const cwd = mkdtempSync(join(tmpdir(), "latchkey-outputs-"));
  removeAtEnd(cwd);
  const [http, ops] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const policy = join(cwd, "latchkey.yaml");
  writeFileSync(policy, "guards: { failures: 61/m }\n");
  const env = {
    ...CLEAN_ENVIRONMENT,
    ADMIN_TOKEN,
    AUDIT_KEY,
    DRAIN_SECONDS: "0",
    GRPC_LISTEN: `unix:${join(cwd, "grpc")}`,
    HTTP_LISTEN: http,
    OPS_LISTEN: ops,
    ...more,
  };
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", PROGRAM, "serve"], {
    cwd,
    env,
    stdio,
  });
  started.push(child);
  const exited = once(child, "exit").then(([code]) => Number(code));
  const ready = async () => (await fetch(`http://${ops}/readyz`).catch(() => undefined))?.status;
  await expect.poll(ready).toBe(200);
  const client = createClient({ url: `http://${http}`, token: ADMIN_TOKEN });
  /** Of all workers. */
  const metric = async (name: string, label = "") => {
    const text = await (await fetch(`http://${ops}/metrics`)).text();
    const values = text
      .split("\n")
      .filter((line) => line.startsWith(`latchkey_${name}`) && line.includes(label));
    return values.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  };
  const dropped = () => metric("output_dropped_total");
  /** Makes it write a log line that is not an audit line. */
  const logSomething = async () => {
    writeFileSync(policy, "roles: 1\n");
    child.kill("SIGHUP");
    const said = () => metric("policy_reloads_total", 'result="refused"');
    await expect.poll(said).toBeGreaterThan(0);
  };
  const audited = () => readFileSync(join(cwd, "logs/api.log"), "utf8");
  const registerUntilAudited = async (name: string) => {
    const { key_id } = await client.register({ name, key_type: "basic" });
    await expect.poll(audited).toContain(key_id);
  };
  /** Sends one SIGTERM and returns the exit code. */
  const stop = async () => {
    child.kill("SIGTERM");
    return exited;
  };
  return { child, cwd, http, logSomething, client, dropped, audited, registerUntilAudited, stop, exited };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Checks that the process continues without its output, reports that lines were lost, and stops cleanly. */
async function outlivesItsOutput(latchkey: Started): Promise<void> {
  for (let at = 0; at < 15; at++) await latchkey.client.register({ name: `after ${at}`, key_type: "basic" });
  await latchkey.logSomething();
  await latchkey.registerUntilAudited("last");
  await expect.poll(latchkey.dropped).toBeGreaterThan(0);
  await expect.poll(latchkey.audited).toMatch(/"kind":"gap","output":"stdout","lines":\d/);
  expect(latchkey.child.exitCode).toBeNull();
  expect(await latchkey.stop()).toBe(0);
  const file = join(latchkey.cwd, "logs/api.log");
  expect(runLatchkey(["audit", "verify", file], { AUDIT_KEY })).toMatchObject({ status: 0 });
}

/** Both ends of a pipe. */
function newPipe() {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-pipe-"));
  removeAtEnd(folder);
  const path = join(folder, "pipe");
  spawnSync("mkfifo", [path]);
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { reading, writing: openSync(path, constants.O_WRONLY) };
}

describe("serve outlives its log", () => {
  test("serve continues after the reader of stdout is closed", async () => {
    const pipe = newPipe();
    const latchkey = await start(["ignore", pipe.writing, "ignore"]);
    closeSync(pipe.writing);
    await latchkey.registerUntilAudited("before");
    closeSync(pipe.reading);
    await outlivesItsOutput(latchkey);
  });

  test("serve continues when stdout and stderr accept nothing from the first line on", async () => {
    const full = openSync("/dev/full", "w");
    await outlivesItsOutput(await start(["ignore", full, full]));
  });

  test("serve continues when stdout and stderr are pipes without a reader", async () => {
    const [out, err] = [newPipe(), newPipe()];
    const latchkey = await start(["ignore", out.writing, err.writing]);
    const unauthenticatedCall = () =>
      fetch(`http://${latchkey.http}/api/admin/keys`, { headers: { authorization: "Bearer x" } });
    for (let at = 0; at < 20; at++) await Promise.all(Array.from({ length: 20 }, unauthenticatedCall));
    await outlivesItsOutput(latchkey);
  });

  test("workers continue after the reader of all outputs is closed", async () => {
    const redis = await startRedis();
    const settings = {
      WORKERS: "2",
      REDIS_URL: redis.url,
      REDIS_COMMAND_TIMEOUT_MS: "1000",
      JWT_SECRET: newSecret(),
    };
    const [out, err] = [newPipe(), newPipe()];
    const latchkey = await start(["ignore", out.writing, err.writing], settings);
    for (const end of [out.writing, err.writing, out.reading, err.reading]) closeSync(end);
    await outlivesItsOutput(latchkey);
    await redis.stop();
  });
});
