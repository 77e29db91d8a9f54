import { randomBytes } from "node:crypto";
import { appendFile, copyFile, cp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { PLATFORMS, writeNote } from "../../scripts/platforms.ts";
import { run } from "../../scripts/run.ts";
import { packPackage, TOOLS_PATH } from "../support/packed-package.ts";
import type { SystemdMachine } from "../support/systemd-machine.ts";
import { bootSystemd } from "../support/systemd-machine.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DEPLOY = join(ROOT, "deploy/systemd");
const SECRETS = ["JWT_SECRET", "KEY_HASH_SECRET", "AUDIT_KEY", "ADMIN_TOKEN"];
const WAIT = { timeout: 60_000, interval: 300 };

/** Prints the status of a request to a path of a listener. */
const STATUS = `const [method, url] = process.argv.slice(1);
const init = method === "GET" ? {} : {
  method, headers: { "content-type": "application/json" }, body: JSON.stringify({ name: "x", key_type: "basic" }),
};
console.log((await fetch(url, init)).status);`;

/** Installs Latchkey in the root of a machine by the steps of docs/guides/install.md. */
async function install(root: string): Promise<void> {
  await copyFile(process.execPath, join(root, "usr/bin/node"));
  const options = ["--global", "--prefix", join(root, "usr"), "--no-audit", "--no-fund", "--prefer-offline"];
  await run("npm", ["install", ...options, await packPackage()], { env: { PATH: TOOLS_PATH } });
  await copyFile(join(DEPLOY, "latchkey.sysusers"), join(root, "usr/lib/sysusers.d/latchkey.conf"));
  const secrets = join(root, "etc/latchkey/secrets");
  await run("install", ["-d", "-m", "700", secrets]);
  for (const name of SECRETS)
    await writeFile(join(secrets, name), `${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
  await copyFile(join(ROOT, "latchkey.yaml"), join(root, "etc/latchkey/latchkey.yaml"));
  await cp(join(DEPLOY, "latchkey.service"), join(root, "etc/systemd/system/latchkey.service"));
}

describe(PLATFORMS["systemd.test.ts"], () => {
  let machine: SystemdMachine;

  const status = async (method: string, url: string) =>
    Number(await machine.run("node", "--input-type=module", "-e", STATUS, method, url));
  const ready = () =>
    vi.waitFor(async () => expect(await status("GET", "http://127.0.0.1:9464/readyz")).toBe(200), WAIT);
  const show = async (property: string) =>
    (await machine.run("systemctl", "show", "--value", "--property", property, "latchkey")).trim();
  const journal = () => machine.run("journalctl", "--unit", "latchkey", "--output", "cat");

  beforeAll(async () => {
    machine = await bootSystemd(install);
    await machine.run("systemd-sysusers");
    await machine.run("systemctl", "daemon-reload");
    await machine.run("systemctl", "enable", "--now", "latchkey");
    await ready().catch(async (error: unknown) => {
      throw new Error(await machine.run("journalctl", "--no-pager", "--lines", "50"), { cause: error });
    });
    const [version] = (await machine.run("systemctl", "--version")).split("\n");
    writeNote("systemd.test.ts", { versions: `${version}, Node ${process.versions.node}` });
  });

  afterAll(async () => {
    await machine?.stop();
    await rm(machine?.root ?? "", { recursive: true, force: true });
  });

  test("the service starts with the unit as it is, and issues a key", async () => {
    expect(await show("ActiveState")).toBe("active");
    expect(await status("POST", "http://127.0.0.1:8000/api/auth/v2/register")).toBe(201);
  });

  test("its process has its own user, no capability, no new privileges and a filter of system calls", async () => {
    const process = await machine.run("cat", `/proc/${await show("MainPID")}/status`);
    const uid = (await machine.run("id", "-u", "latchkey")).trim();
    expect(/^Uid:\s+(\d+)/m.exec(process)?.[1]).toBe(uid);
    expect(uid).not.toBe("0");
    for (const line of [
      "CapEff:\t0000000000000000",
      "CapBnd:\t0000000000000000",
      "NoNewPrivs:\t1",
      "Seccomp:\t2",
    ])
      expect(process).toContain(line);
  });

  test("its state and its audit log are its own, and no other user can read them", async () => {
    const modes = await machine.run("stat", "--format", "%U %a", "/var/lib/latchkey", "/var/log/latchkey");
    expect(modes.trim().split("\n")).toEqual(["latchkey 700", "latchkey 750"]);
    // The first event is written a moment after the start.
    await vi.waitFor(() => machine.run("test", "-s", "/var/log/latchkey/api.log"), WAIT);
  });

  test("systemctl reload loads a changed policy", async () => {
    const pid = await show("MainPID");
    await appendFile(join(machine.root, "etc/latchkey/latchkey.yaml"), "\n# Changed.\n");
    await machine.run("systemctl", "reload", "latchkey");
    await vi.waitFor(async () => expect(await journal()).toContain("a new policy is in force"), WAIT);
    expect(await show("MainPID")).toBe(pid);
  });

  test("after a crash systemd starts it again", async () => {
    const pid = await show("MainPID");
    await machine.run("systemctl", "kill", "--signal=KILL", "latchkey");
    await vi.waitFor(async () => expect(await show("NRestarts")).toBe("1"), WAIT);
    await ready();
    expect(await show("MainPID")).not.toBe(pid);
  });

  test("a setting of /etc/latchkey/environment applies, and systemctl stop drains and ends it cleanly", async () => {
    await writeFile(join(machine.root, "etc/latchkey/environment"), "DRAIN_SECONDS=1\n");
    await machine.run("systemctl", "restart", "latchkey");
    await ready();
    await machine.run("systemctl", "stop", "latchkey");
    expect([await show("Result"), await show("ExecMainStatus")]).toEqual(["success", "0"]);
    expect(await journal()).toContain('"stopped"');
  });

  test("without a secret it does not start, and the journal names the step", async () => {
    await rm(join(machine.root, "etc/latchkey/secrets/ADMIN_TOKEN"));
    await expect(machine.run("systemctl", "start", "latchkey")).rejects.toThrow();
    // journald writes a line a moment after the step has failed.
    await vi.waitFor(async () => {
      const log = await machine.run("journalctl", "--unit", "latchkey", "--no-pager", "--lines", "30");
      expect(log).toContain("Failed at step CREDENTIALS");
    }, WAIT);
  });
});
