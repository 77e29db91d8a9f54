import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { startChild } from "./child.ts";
import { findOnPath, isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

/** A Redis that can be started, and the one that asks it. */
export interface RedisBinaries {
  readonly server: string;
  readonly cli: string;
  /** Where their libraries are, when they are not the system's. */
  readonly env: Readonly<Record<string, string>>;
}

/** The server, its tools (which hold the program itself), and the libraries that a bare Debian lacks. */
const PACKAGES = ["redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1"];
const KEPT = join(TOOLS, "redis");

/**
 * The `redis-server` and `redis-cli` on the PATH, else Debian's, unpacked once into `.tools/`: nothing is installed,
 * no service is started. Its errors are sentences for a person.
 */
export async function redisBinaries(): Promise<RedisBinaries> {
  const [server, cli] = await Promise.all([findOnPath("redis-server"), findOnPath("redis-cli")]);
  if (server !== undefined && cli !== undefined) return { server, cli, env: {} };
  const kept = join(KEPT, "usr/bin/redis-server");
  if (!(await isExecutable(kept))) await unpack();
  const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  const libraries = [join(KEPT, "usr/lib", triplet), join(KEPT, "lib", triplet)].join(":");
  return { server: kept, cli: join(KEPT, "usr/bin/redis-cli"), env: { LD_LIBRARY_PATH: libraries } };
}

async function unpack(): Promise<void> {
  await mkdir(TOOLS, { recursive: true });
  const beside = await mkdtemp(join(TOOLS, ".redis-"));
  try {
    process.stderr.write("Unpacking Debian's redis-server, once.\n");
    if (!(await run("apt-get", ["download", ...PACKAGES], beside))) {
      // A machine that has never asked Debian for its list of packages knows none.
      await run("apt-get", ["update"], beside);
      if (!(await run("apt-get", ["download", ...PACKAGES], beside))) {
        throw new Error(
          "redis-server could not be had from Debian: install it (apt-get install redis-server).",
        );
      }
    }
    const out = join(beside, "out");
    for (const file of (await readdir(beside)).filter((name) => name.endsWith(".deb"))) {
      if (!(await run("dpkg", ["-x", join(beside, file), out], beside)))
        throw new Error(`${file} could not be unpacked.`);
    }
    await moveIntoPlace(out, KEPT, "usr/bin/redis-server");
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

async function run(command: string, args: readonly string[], cwd: string): Promise<boolean> {
  try {
    const child = await startChild(command, args, {
      cwd,
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
    return (await child.exited) === 0;
  } catch {
    return false; // No such program: not a Debian.
  }
}
