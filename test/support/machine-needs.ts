import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { caddyBinary } from "../../scripts/caddy-binary.ts";
import { nginxBinary } from "../../scripts/nginx-binary.ts";
import type { Platform } from "../../scripts/platforms.ts";
import { run } from "../../scripts/run.ts";
import { traefikBinary } from "../../scripts/traefik-binary.ts";
import { startContainer } from "./container.ts";
import { bootSystemd } from "./systemd-machine.ts";

/** Something of the machine that a platform needs. */
interface Need {
  readonly what: string;
  /** Tries it. Rejects if the machine does not have it. */
  readonly probe: () => Promise<unknown>;
}

const ROOT: Need = {
  what: "root on Linux",
  async probe() {
    if (process.platform !== "linux" || process.getuid?.() !== 0) throw new Error("another user or system");
  },
};

const PACKAGES: Need = {
  what: "Debian's packages",
  probe: () =>
    inNewFolder(async (cwd) => {
      const download = () => run("apt-get", ["download", "hostname"], { cwd });
      // Without a package list, apt-get finds no package.
      await download().catch(async () => {
        await run("apt-get", ["update"]);
        await download();
      });
    }),
};

/** Makes a root as debootstrap does: with devices, and programs that run in it. */
const OWN_ROOTS: Need = {
  what: "mount, mknod and chroot",
  probe: () =>
    inNewFolder((folder) =>
      run("unshare", [
        "--mount",
        "sh",
        "-ec",
        'mknod "$0/null" c 1 3; true > "$0/null"; mount --bind / "$0"; chroot "$0" true',
        folder,
      ]),
    ),
};

const CONTAINERS: Need = {
  what: "containers (runc)",
  async probe() {
    const container = await startContainer({
      readOnly: false,
      user: { uid: 0, gid: 0 },
      args: ["/bin/true"],
      env: {},
      cwd: "/",
      mounts: [],
      network: "new",
    });
    if ((await container.exited) !== 0) throw new Error(container.output());
  },
};

const SYSTEMD: Need = {
  what: "a systemd in a container (systemd-nspawn)",
  async probe() {
    const machine = await bootSystemd(async () => undefined);
    await machine.stop();
    await rm(machine.root, { recursive: true, force: true });
  },
};

const GO: Need = { what: "Go", probe: () => run("go", ["version"]) };

function program(what: string, find: () => Promise<string>): Need {
  return { what, probe: find };
}

/** In the order in which they are tried. */
const NEEDS: Readonly<Record<Platform, readonly Need[]>> = {
  "image.test.ts": [ROOT, PACKAGES, OWN_ROOTS, CONTAINERS],
  "compose.test.ts": [ROOT, PACKAGES, OWN_ROOTS, CONTAINERS],
  "compose-redis.test.ts": [ROOT, PACKAGES, OWN_ROOTS, CONTAINERS],
  "systemd.test.ts": [ROOT, PACKAGES, OWN_ROOTS, SYSTEMD],
  "package.test.ts": [],
  "nginx.test.ts": [program("nginx", nginxBinary)],
  "caddy.test.ts": [program("Caddy", caddyBinary)],
  "traefik.test.ts": [program("Traefik", traefikBinary)],
  "built/envoy-gateway.test.ts": [GO],
  "built/kubernetes.test.ts": [PACKAGES, GO],
};

const tried = new Map<Need, Promise<string | undefined>>();

/** The first thing that the machine lacks for this platform; undefined if it has everything. Each is tried once. */
export async function missingFor(platform: Platform): Promise<string | undefined> {
  for (const need of NEEDS[platform]) {
    const result = tried.get(need) ?? whyMissing(need);
    tried.set(need, result);
    const missing = await result;
    if (missing !== undefined) return missing;
  }
  return undefined;
}

async function whyMissing({ what, probe }: Need): Promise<string | undefined> {
  try {
    await probe();
    return undefined;
  } catch (error) {
    process.stderr.write(`This machine lacks ${what}: ${String(error)}\n`);
    return what;
  }
}

async function inNewFolder(work: (folder: string) => Promise<unknown>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-probe-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
