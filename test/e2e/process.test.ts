import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startChild } from "../../scripts/child.ts";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { CLEAN_ENVIRONMENT } from "../support/environment.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { PROGRAM, runLatchkey } from "../support/program.ts";

const production = () => ({
  ENVIRONMENT: "production",
  JWT_SECRET: newSecret(),
  KEY_HASH_SECRET: newSecret(),
  AUDIT_KEY: newSecret(),
  ADMIN_TOKEN: newSecret(),
  OPERATOR_LISTEN: "127.0.0.1:0",
});

/**
 * True if the process has a handler for SIGHUP (signal 1). Before Node itself has started, none can be
 * installed.
 */
function catchesHangUp(pid: number): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
  return (BigInt(`0x${caught}`) & 1n) === 1n;
}

describe("latchkey serve", () => {
  test("serve does not start with invalid settings, and reports all problems in one message", () => {
    const { status, stderr } = runLatchkey(["serve"], {
      GRPC_LISTEN: "x",
      LOG_LEVEL: "y",
      JWT_SECRET: "short",
    });
    expect(status).toBe(1);
    expect(stderr.split("\n").filter((line) => line.startsWith("  - "))).toHaveLength(3);
  });

  test("serve does not replace a missing policy file by the built-in policy", () => {
    const { status, stderr } = runLatchkey(["serve"], { POLICY_FILE: "/nowhere/policy.yaml" });
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining("/nowhere/policy.yaml: there is no such file"),
    ]);
  });

  test("the log is formatted for people on a terminal, and as JSON elsewhere", () => {
    const cwd = mkdtempSync(join(tmpdir(), "latchkey-terminal-"));
    removeAtEnd(cwd);
    // An unavailable address, so that the process ends by itself.
    const env = { ...CLEAN_ENVIRONMENT, GRPC_LISTEN: "127.0.0.1:0", HTTP_LISTEN: "192.0.2.1:80" };
    const command = `"${process.execPath}" "${PROGRAM}" serve`;
    const options = { cwd, env, encoding: "utf8" } as const;
    const terminal = spawnSync("script", ["-qec", command, "/dev/null"], options);
    expect([terminal.status, terminal.stdout]).toEqual([
      1,
      expect.stringMatching(/^\d\d:\d\d:\d\d\.\d{3} \S*fatal\S* Latchkey cannot start: /m),
    ]);
    const piped = spawnSync(process.execPath, [PROGRAM, "serve"], options);
    const fatal = piped.stdout.split("\n").find((line) => line.includes("cannot start"));
    expect(JSON.parse(fatal ?? "")).toMatchObject({ level: "fatal", err: { type: "Error" } });
  });

  test("production does not start with one secret for two purposes, in a key file neither", () => {
    const env = production();
    const reused = runLatchkey(["serve"], { ...env, AUDIT_KEY: env.JWT_SECRET });
    expect([reused.status, reused.stderr]).toEqual([
      1,
      expect.stringContaining("JWT_SECRET and AUDIT_KEY have the same value"),
    ]);
    const folder = mkdtempSync(join(tmpdir(), "latchkey-keys-"));
    removeAtEnd(folder);
    const { JWT_SECRET, ...others } = env;
    const JWT_KEYS_FILE = join(folder, "keys.json");
    const oct = (k: string, kid: string) => ({ kty: "oct", alg: "HS256", kid, k });
    const asText = Buffer.from(env.ADMIN_TOKEN).toString("base64url");
    const sets = [
      [env.KEY_HASH_SECRET, "KEY_HASH_SECRET"],
      [asText, "ADMIN_TOKEN"],
      [JWT_SECRET, "another key of it"],
    ] as const;
    for (const [k, name] of sets) {
      writeFileSync(JWT_KEYS_FILE, JSON.stringify({ keys: [oct(JWT_SECRET, "a"), oct(k, "b")] }));
      const { status, stderr } = runLatchkey(["serve"], { ...others, JWT_KEYS_FILE });
      expect([status, stderr]).toEqual([1, expect.stringContaining(`in JWT_KEYS_FILE and as ${name}`)]);
      expect(stderr).not.toContain(k);
    }
  });

  test("production keeps the operator API off the HTTP listener", async () => {
    const env = production();
    const latchkey = await startLatchkey(env);
    expect(latchkey.operator).not.toBe(latchkey.http);
    const list = (address: string) =>
      createClient({ url: `http://${address}`, token: env.ADMIN_TOKEN }).keys.list();
    await expect(list(latchkey.http)).rejects.toMatchObject({ status: 404 });
    expect(await list(latchkey.operator)).toEqual({ keys: [], examined: 0, next_cursor: null });
    expect(await (await fetch(`http://${latchkey.http}/openapi.json`)).text()).not.toContain("/api/admin");
    await latchkey.stop();
  });

  test("a stopping instance reports that it drains while it still serves, and ends at once at the second signal", async () => {
    const latchkey = await startLatchkey({ DRAIN_SECONDS: "60" });
    expect((await fetch(`http://${latchkey.ops}/readyz`)).status).toBe(200);
    process.kill(latchkey.pid, "SIGTERM");
    await expect.poll(async () => (await fetch(`http://${latchkey.ops}/readyz`)).status).toBe(503);
    expect(await (await fetch(`http://${latchkey.ops}/readyz`)).json()).toMatchObject({
      status: "not_ready",
      parts: { instance: "draining" },
    });
    expect((await fetch(`http://${latchkey.ops}/livez`)).status).toBe(200);
    await registerKey(latchkey.http);
    expect(await latchkey.stop("SIGTERM")).toBe(0);
  });

  test("SIGHUP does not end a starting process", async () => {
    const cwd = mkdtempSync(join(tmpdir(), "latchkey-hangup-"));
    removeAtEnd(cwd);
    const anyPort = "127.0.0.1:0";
    const env = {
      ...CLEAN_ENVIRONMENT,
      DRAIN_SECONDS: "0",
      GRPC_LISTEN: anyPort,
      HTTP_LISTEN: anyPort,
      OPS_LISTEN: anyPort,
    };
    const starting = await startChild(process.execPath, [PROGRAM, "serve"], { cwd, env });
    await expect.poll(() => catchesHangUp(starting.pid), { interval: 1 }).toBe(true);
    const hangUps = setInterval(() => process.kill(starting.pid, "SIGHUP"), 1);
    await expect.poll(() => starting.output()).toContain('"msg":"ready"');
    clearInterval(hangUps);
    expect(await starting.stop()).toBe(0);
  });

  test("a listener or store in use is reported in one sentence", async () => {
    const latchkey = await startLatchkey();
    const taken = startLatchkey({ HTTP_LISTEN: latchkey.http });
    await expect(taken).rejects.toThrow(`an HTTP listener cannot listen on ${latchkey.http}`);
    await expect(startLatchkey({ DATA_DIR: latchkey.dataDir })).rejects.toThrow("another process uses");
    await latchkey.stop();
  });

  test("serve survives garbage at every listener", async () => {
    const latchkey = await startLatchkey();
    for (const address of [latchkey.grpc, latchkey.http, latchkey.ops]) {
      const port = Number(address.split(":").at(-1));
      await new Promise<void>((resolve) => {
        const socket = connect(port, "127.0.0.1", () =>
          socket.end(Buffer.from("\u0000\u0001garbage\r\n\r\n".repeat(50))),
        );
        socket.on("close", () => resolve()).on("error", () => resolve());
        socket.resume();
      });
    }
    await registerKey(latchkey.http);
    await latchkey.stop();
  });
});

describe("the command line", () => {
  test.each([
    ["--help"],
    ["serve", "--help"],
    ["keys", "--help"],
    ["keys", "register", "--help"],
    ["keys", "list", "--help"],
  ])("%s %s prints help", (...args) => {
    const { status, stdout } = runLatchkey(args);
    expect(status).toBe(0);
    expect(stdout).toContain("Usage: latchkey");
  });

  test.each([
    [["nonsense"]],
    [["keys", "revoke"]],
    [["keys", "register", "--name", "x"]],
    [["keys", "list", "--status", "dead"]],
    [["keys", "rotate", "x", "--overlap", "soon"]],
  ])("%j is a usage error: exit code 2", (args) => {
    const { status, stderr } = runLatchkey(args);
    expect([status, stderr]).toEqual([2, expect.stringContaining("error:")]);
  });

  test("the command line registers, lists, shows, disables, rotates and revokes keys, and stdout has only the key", async () => {
    const ADMIN_TOKEN = newSecret();
    const latchkey = await startLatchkey({ ADMIN_TOKEN });
    const env = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
    const made = runLatchkey(
      ["keys", "register", "--name", "evil\u001b[2Jname", "--role", "contributor"],
      env,
    );
    expect(made.status).toBe(1);
    expect(made.stderr).toContain("#/name");
    const registered = runLatchkey(
      [
        "keys",
        "register",
        "--name",
        "cli",
        "--role",
        "contributor",
        "--owner",
        "acme",
        "--ttl",
        "12h",
        "--scopes",
        "chat:read",
      ],
      env,
    );
    expect(registered.stdout).toMatch(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const [line = ""] = runLatchkey(["keys", "list", "--owner", "acme", "--json"], env).stdout.split("\n");
    const { key_id: keyId } = JSON.parse(line);
    expect(runLatchkey(["keys", "show", keyId], env).stdout).toMatch(/scopes +\["chat:read"\]/);
    expect(runLatchkey(["keys", "disable", keyId], env).stdout).toBe(`${keyId}: disabled\n`);
    expect(runLatchkey(["keys", "enable", keyId], env).stdout).toBe(`${keyId}: active\n`);
    expect(runLatchkey(["keys", "rotate", keyId, "--overlap", "0s", "--json"], env).stdout).toContain(
      '"api_key":"eyJ',
    );
    expect(runLatchkey(["keys", "revoke", "--owner", "acme"], env)).toMatchObject({
      status: 0,
      stdout: "revoked: acme\n",
    });
    expect(runLatchkey(["keys", "list", "--status", "revoked"], env).stdout.match(/revoked/g)).toHaveLength(
      2,
    );
    expect(runLatchkey(["keys", "export"], env).stdout).not.toContain("eyJ");
    const denied = runLatchkey(["keys", "list"], { ...env, LATCHKEY_TOKEN: newSecret() });
    expect([denied.status, denied.stderr]).toEqual([1, expect.stringContaining("401 credential-invalid")]);
    await latchkey.stop();
    expect(runLatchkey(["keys", "list"], env).stderr).toContain("does not respond");
  });
});
