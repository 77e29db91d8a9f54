import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { runc } from "../../scripts/container-binaries.ts";
import { run } from "../../scripts/run.ts";
import { killAtEnd, removeAtEnd } from "./at-end.ts";

export interface Mount {
  readonly source: string;
  /** A path in the container. */
  readonly target: string;
  readonly readOnly: boolean;
}

export interface ContainerOptions {
  /** Its root; without it, a copy of this machine's root in memory, which only the container changes. */
  readonly root?: string;
  readonly readOnly: boolean;
  readonly user: { readonly uid: number; readonly gid: number };
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly mounts: readonly Mount[];
  /** The network of this machine, a new one that has only a loopback, or the one of another container. */
  readonly network: "host" | "new" | Container;
  readonly onStdoutLine?: (line: string) => void;
}

export interface Container extends Child {
  /** The container's first process, by its id on this machine. */
  readonly firstPid: number;
  /** Runs a command in the container, as its user and with its environment. */
  exec(command: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }>;
  /** Sends a signal to the container's first process. */
  signal(name: string): Promise<void>;
}

/** Gives a container a root that has this machine's files. The mounts end with their namespace. */
const OVER_THE_MACHINE = `mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
shift
exec "$@"`;

/**
 * Starts a container as an orchestrator does that grants nothing: no capability, no new privilege, namespaces of its own. Resolves
 * when its process runs. Needs root.
 */
export async function startContainer(options: ContainerOptions): Promise<Container> {
  const { program, env } = await runc();
  const folder = await mkdtemp(join(tmpdir(), "latchkey-runc-"));
  removeAtEnd(folder);
  const [bundle, over] = [join(folder, "bundle"), join(folder, "over")];
  await Promise.all([mkdir(bundle), mkdir(over)]);
  const root = options.root ?? join(over, "root");
  await writeFile(join(bundle, "config.json"), JSON.stringify(specOf(options, root)));
  const id = `latchkey-${folder.slice(-6)}`;
  const state = ["--root", join(folder, "state")];
  const call = (...args: readonly string[]) => run(program, [...state, ...args], { env });
  const started = [program, ...state, "run", "--bundle", bundle, id];
  const isolated = ["unshare", "--mount", "sh", "-ec", OVER_THE_MACHINE, "sh", over, ...started];
  const [command = "", ...args] = options.root === undefined ? isolated : started;
  const child = await startChild(command, args, {
    env: { ...process.env, ...env },
    stopWithinMs: 30_000,
    ...(options.onStdoutLine && { onStdoutLine: options.onStdoutLine }),
  });
  const first = await firstPid(child, () => call("state", id));
  // Without runc, which forwards signals, its processes would remain.
  const release = first === 0 ? undefined : killAtEnd(first);
  void child.exited.then(release);
  return {
    ...child,
    firstPid: first,
    exec: async (words) => {
      // runc finds the container's root only where it is mounted.
      const entered = ["--target", String(child.pid), "--mount", program, ...state, "exec", id, ...words];
      const executed = await startChild("nsenter", entered, { env: { ...process.env, ...env } });
      const code = await executed.exited;
      return { code, output: executed.output() };
    },
    signal: async (name) => void (await call("kill", id, name)),
  };
}

const running = z.object({ status: z.literal("running"), pid: z.int() });

/** Waits until the container runs. If it has ended already, the id is 0. */
async function firstPid(child: Child, state: () => Promise<string>): Promise<number> {
  const ended = child.exited.then(() => true);
  for (;;) {
    const parsed = running.safeParse(JSON.parse(await state().catch(() => "null")));
    if (parsed.success) return parsed.data.pid;
    if (await Promise.race([ended, new Promise<false>((resolve) => setTimeout(resolve, 50, false))]))
      return 0;
  }
}

const NONE = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };
const STANDARD = ["nosuid", "noexec", "nodev"];
const DEVICES = ["nosuid", "strictatime", "mode=755", "size=64k"];

function specOf(options: ContainerOptions, root: string): object {
  const { network } = options;
  const joined = typeof network === "object" ? { path: `/proc/${network.firstPid}/ns/net` } : {};
  const names = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  return {
    ociVersion: "1.0.2",
    process: {
      user: options.user,
      args: options.args,
      env: Object.entries(options.env).map(([name, value]) => `${name}=${value}`),
      cwd: options.cwd,
      capabilities: NONE,
      noNewPrivileges: true,
    },
    root: { path: root, readonly: options.readOnly },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: STANDARD },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: DEVICES },
      { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...STANDARD, "mode=1777"] },
      ...options.mounts.map(({ source, target, readOnly }) => ({
        destination: target,
        source,
        type: "bind",
        options: ["bind", readOnly ? "ro" : "rw", "nosuid", "nodev"],
      })),
    ],
    linux: {
      namespaces: network === "host" ? names : [...names, { type: "network", ...joined }],
      maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
      readonlyPaths: ["/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}
