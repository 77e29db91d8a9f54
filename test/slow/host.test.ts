import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { PROGRAM } from "../support/program.ts";

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-host-"));
  removeAtEnd(folder);
  return folder;
}

describe("an unusable place for a file stops the start, and the message names the setting", () => {
  test.concurrent.each(["/dev/null", "pipe", "folder", "/proc/latchkey/api.log", "a-file/api.log"])(
    "AUDIT_FILE=%s stops the start",
    async (path) => {
      const cwd = newFolder();
      spawnSync("mkfifo", ["pipe"], { cwd });
      mkdirSync(join(cwd, "folder"));
      spawnSync("touch", ["a-file"], { cwd });
      const AUDIT_FILE = path.startsWith("/") ? path : join(cwd, path);
      await expect(startLatchkey({ AUDIT_FILE })).rejects.toThrow(`AUDIT_FILE ${AUDIT_FILE}`);
    },
  );

  test.concurrent.each(["/proc/latchkey/data", "/dev/null/data"])(
    "DATA_DIR=%s stops the start",
    async (DATA_DIR) => {
      await expect(startLatchkey({ DATA_DIR })).rejects.toThrow(`DATA_DIR ${DATA_DIR}`);
    },
  );
});

test("with umask 000 other users cannot read a file, and with umask 077 an operator can still admit a log shipper", async () => {
  const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
  for (const umask of ["000", "077"]) {
    const cwd = newFolder();
    const anyPort = "127.0.0.1:0";
    const env = {
      ...CLEAN_ENVIRONMENT,
      GRPC_LISTEN: anyPort,
      HTTP_LISTEN: anyPort,
      OPS_LISTEN: anyPort,
      DRAIN_SECONDS: "0",
    };
    const command = `umask ${umask}; exec "${process.execPath}" "${PROGRAM}" serve`;
    const child = spawn("sh", ["-c", command], { cwd, env, stdio: ["ignore", "pipe", "ignore"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      output += chunk;
    });
    await expect.poll(() => output).toContain('"msg":"ready"');
    // The log contains the lines of the start, so all files exist.
    await expect.poll(() => existing(join(cwd, "data"))).toContain("latchkey.db-wal");
    const modes = ["data", "logs"].flatMap((folder) =>
      existing(join(cwd, folder)).map((name) => [join(folder, name), modeOf(join(cwd, folder, name))]),
    );
    expect([modeOf(join(cwd, "data")), modeOf(join(cwd, "logs"))]).toEqual(["700", "750"]);
    expect(modes.length).toBeGreaterThan(5);
    expect(modes.filter(([, mode]) => mode !== "600")).toEqual([]);
    child.kill("SIGTERM");
    await once(child, "exit");
  }
});

function existing(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

test("later files of the log have the mode that an operator gave the first one", async () => {
  const latchkey = await startLatchkey({ ADMIN_TOKEN: newSecret() });
  const file = join(latchkey.cwd, "logs/api.log");
  spawnSync("chmod", ["640", file]);
  renameSync(file, `${file}.1`);
  await createClient({ url: `http://${latchkey.http}` }).register({ name: "n", key_type: "basic" });
  const mode = () => (statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o777;
  await expect.poll(mode).toBe(0o640);
  await latchkey.stop();
});

test.each(["removed", "replaced"])(
  "a database that is %s is detected, rejects every change, and stops the next start",
  async (how) => {
    const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
    const first = await startLatchkey(env);
    const client = createClient({ url: `http://${first.http}`, token: env.ADMIN_TOKEN });
    const [gone, kept] = [await registerKey(first.http), await registerKey(first.http)];
    await client.keys.revoke(gone.key_id);
    const database = join(first.dataDir, "latchkey.db");
    const other = `${database}.other`;
    copyFileSync(database, other);
    rmSync(database);
    if (how === "replaced") renameSync(other, database);
    const readiness = async () => (await fetch(`http://${first.ops}/readyz`)).json();
    await expect
      .poll(readiness)
      .toMatchObject({ status: "not_ready", parts: { instance: "ready", store: "not_ready" } });
    await expect(client.keys.revoke(kept.key_id)).rejects.toMatchObject({ status: 503 });
    const validate = (http: string, key: string) =>
      fetch(`http://${http}/api/auth/v2/validate`, { headers: { authorization: `Bearer ${key}` } });
    expect((await validate(first.http, gone.api_key)).status).toBe(401);
    expect((await validate(first.http, kept.api_key)).status).toBe(200);
    await expect.poll(first.output).toContain("was removed or replaced, or its thread has ended");
    await first.stop(how === "removed" ? "SIGKILL" : "SIGTERM");
    const again = { ...env, DATA_DIR: first.dataDir };
    await expect(startLatchkey(again)).rejects.toThrow("its registry is lost");
    const accepted = await startLatchkey(again, { args: ["--accept-empty-registry"] });
    await registerKey(accepted.http);
    await accepted.stop();
    const third = await startLatchkey(again);
    await third.stop();
  },
);

test("SIGUSR1 opens no inspector", async () => {
  const latchkey = await startLatchkey();
  for (let at = 0; at < 20; at++) process.kill(latchkey.pid, "SIGUSR1");
  // The signal's handler runs in an event loop turn before this response.
  await fetch(`http://${latchkey.http}/openapi.json`);
  expect(await latchkey.stop()).toBe(0);
  expect(latchkey.output()).not.toMatch(/debugger|inspector/i);
});
