import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { runc } from "../../scripts/container-binaries.ts";
import { run } from "../../scripts/run.ts";
import { removeAtEnd } from "./at-end.ts";
import type { Image } from "./image.ts";

export interface ContainerOptions {
  readonly image: Image;
  /** The root of the image, which is read-only in the container. */
  readonly root: string;
  /** Added to the image's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Folders of this machine, by their path in the container. They are writable. */
  readonly volumes: Readonly<Record<string, string>>;
  readonly onStdoutLine?: (line: string) => void;
}

export interface Container extends Child {
  /** Runs a command in the container, as its user and with its environment, and returns the exit code. */
  exec(command: readonly string[]): Promise<number | null>;
  /** Sends a signal to the container's first process. */
  signal(name: string): Promise<void>;
}

/**
 * Starts the image as an orchestrator does that grants nothing: a read-only root, the image's user, no capability, no new
 * privilege, namespaces of its own. It shares this machine's network, so that Envoy reaches it on loopback.
 */
export async function startContainer(options: ContainerOptions): Promise<Container> {
  const { program, env } = await runc();
  const folder = await mkdtemp(join(tmpdir(), "latchkey-runc-"));
  removeAtEnd(folder);
  const bundle = join(folder, "bundle");
  await mkdir(bundle);
  await writeFile(join(bundle, "config.json"), JSON.stringify(specOf(options)));
  const id = `latchkey-${process.pid}-${folder.slice(-6)}`;
  const state = ["--root", join(folder, "state")];
  const call = (...args: readonly string[]) => run(program, [...state, ...args], { env });
  const child = await startChild(program, [...state, "run", "--bundle", bundle, id], {
    env: { ...process.env, ...env },
    stopWithinMs: 30_000,
    ...(options.onStdoutLine && { onStdoutLine: options.onStdoutLine }),
  });
  return {
    ...child,
    exec: async (command) => {
      const executed = await startChild(program, [...state, "exec", id, ...command], {
        env: { ...process.env, ...env },
      });
      return executed.exited;
    },
    signal: async (name) => void (await call("kill", id, name)),
  };
}

const NONE = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };

function specOf({ image: { config }, root, env, volumes }: ContainerOptions): object {
  const [uid, gid] = config.User.split(":").map(Number);
  const standard = ["nosuid", "noexec", "nodev"];
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid, gid },
      args: [...config.Entrypoint, ...config.Cmd],
      env: [...config.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
      cwd: config.WorkingDir,
      capabilities: NONE,
      noNewPrivileges: true,
    },
    root: { path: root, readonly: true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: standard },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
      ...Object.entries(volumes).map(([destination, source]) => ({
        destination,
        source,
        type: "bind",
        options: ["bind", "rw", "nosuid", "nodev"],
      })),
    ],
    linux: {
      namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
      readonlyPaths: ["/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}
