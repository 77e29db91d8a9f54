import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { systemdNspawn } from "../../scripts/container-binaries.ts";
import { debianRoot, unpackRoot } from "../../scripts/debian-root.ts";
import { run } from "../../scripts/run.ts";
import { killAtEnd, removeAtEnd } from "./at-end.ts";

/** A Debian with a systemd of its own, in a container with a loopback only. */
export interface SystemdMachine {
  /** Its root, on this machine. */
  readonly root: string;
  /** Runs a program in it and returns the output. Rejects with the output if its exit code is not 0. */
  run(command: string, ...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

const BOOT_TRIES = 120;
const BOOT_INTERVAL_MS = 500;

/** Unpacks a Debian, lets `prepare` change its root, and boots it. Needs root. */
export async function bootSystemd(prepare: (root: string) => Promise<void>): Promise<SystemdMachine> {
  const [archive, nspawn] = await Promise.all([
    debianRoot("systemd", ["systemd", "systemd-sysv", "dbus"]),
    systemdNspawn(),
  ]);
  const folder = await mkdtemp(join(tmpdir(), "latchkey-machine-"));
  removeAtEnd(folder);
  const root = join(folder, "root");
  await unpackRoot(archive, root);
  await prepare(root);
  const options = ["--register=no", "--keep-unit", "--private-network", "--console=pipe", "--boot"];
  const child = await startChild(nspawn.program, [...options, "--directory", root], {
    env: { ...process.env, ...nspawn.env },
  });
  const first = await firstPid(child);
  const release = killAtEnd(first);
  void child.exited.then(release);
  const enter = ["--target", String(first), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"];
  const inside = (command: string, ...args: readonly string[]) =>
    run("nsenter", [...enter, command, ...args], {
      // The machine has no file of this name, and Node would warn.
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", NODE_EXTRA_CA_CERTS: "" },
    });
  await untilBooted(child, inside);
  return {
    root,
    run: inside,
    stop: async () => {
      process.kill(first, "SIGKILL");
      await child.exited;
    },
  };
}

/** The first process of the container: the child of systemd-nspawn that runs systemd. It has others before. */
async function firstPid(nspawn: Child): Promise<number> {
  for (let left = BOOT_TRIES; left > 0; left -= 1) {
    for (const pid of (await textOf(`/proc/${nspawn.pid}/task/${nspawn.pid}/children`)).split(" "))
      if ((await textOf(`/proc/${pid}/comm`)).trim() === "systemd") return Number(pid);
    await pause(BOOT_INTERVAL_MS);
  }
  throw new Error(`systemd-nspawn did not start:\n${nspawn.output()}`);
}

/** Empty if the process has ended. */
function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

/** `degraded` would mean that a unit of Debian failed, which the tests do not expect. */
async function untilBooted(nspawn: Child, inside: (command: string, ...args: string[]) => Promise<string>) {
  let state = "";
  for (let left = BOOT_TRIES; left > 0; left -= 1) {
    state = await inside("systemctl", "is-system-running").catch(String);
    if (state.trim() === "running") return;
    await pause(BOOT_INTERVAL_MS);
  }
  throw new Error(`systemd did not start: ${state}\n${nspawn.output()}`);
}
