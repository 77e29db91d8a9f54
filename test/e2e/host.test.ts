import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { PROGRAM } from "../support/program.ts";

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-host-"));
  removeAtEnd(folder);
  return folder;
}

describe("what is no place for a file stops the start, which names the setting", () => {
  test.concurrent.each(["/dev/null", "pipe", "folder", "/proc/latchkey/api.log", "a-file/api.log"])(
    "AUDIT_FILE=%s",
    async (path) => {
      const cwd = newFolder();
      spawnSync("mkfifo", ["pipe"], { cwd });
      mkdirSync(join(cwd, "folder"));
      spawnSync("touch", ["a-file"], { cwd });
      const AUDIT_FILE = path.startsWith("/") ? path : join(cwd, path);
      await expect(startLatchkey({ AUDIT_FILE })).rejects.toThrow(`AUDIT_FILE ${AUDIT_FILE}`);
    },
  );

  test.concurrent.each(["/proc/latchkey/data", "/dev/null/data"])("DATA_DIR=%s", async (DATA_DIR) => {
    await expect(startLatchkey({ DATA_DIR })).rejects.toThrow(`DATA_DIR ${DATA_DIR}`);
  });
});

test("with a umask of 000 nobody else can read a file, and with 077 a log shipper can still be let in", async () => {
  const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
  for (const umask of ["000", "077"]) {
    const cwd = newFolder();
    const anyPort = "127.0.0.1:0";
    const env = {
      PATH: process.env["PATH"],
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
    await expect.poll(() => output, { timeout: 30_000 }).toContain('"msg":"ready"');
    // The lines of the start are in the log, so all files are there.
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

test("later files of the log have the mode that an operator has given the first one", async () => {
  const latchkey = await startLatchkey({ ADMIN_TOKEN: newSecret() });
  const file = join(latchkey.cwd, "logs/api.log");
  spawnSync("chmod", ["640", file]);
  renameSync(file, `${file}.1`);
  await createClient({ url: `http://${latchkey.http}` }).register({ name: "n", key_type: "basic" });
  const mode = () => (statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o777;
  await expect.poll(mode, { timeout: 5000 }).toBe(0o640);
  await latchkey.stop();
});

test("SIGUSR1 opens no inspector", async () => {
  const latchkey = await startLatchkey();
  for (let at = 0; at < 20; at++) process.kill(latchkey.pid, "SIGUSR1");
  // Its handler runs in a turn of the loop before this answer.
  await fetch(`http://${latchkey.http}/openapi.json`);
  expect(await latchkey.stop()).toBe(0);
  expect(latchkey.output()).not.toMatch(/debugger|inspector/i);
});
