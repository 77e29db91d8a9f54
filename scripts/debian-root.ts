import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { debootstrap } from "./container-binaries.ts";
import { run } from "./run.ts";
import { exists, TOOLS } from "./tools.ts";

/** An archive of the root of a small Debian of this machine's release with these packages. It is made once. Needs root. */
export async function debianRoot(name: string, packages: readonly string[]): Promise<string> {
  const kept = join(TOOLS, `debian-${name}.tar`);
  if (await exists(kept)) return kept;
  process.stderr.write(`Making the root of a Debian with ${packages.join(" and ")}, once.\n`);
  const { program, env } = await debootstrap();
  await mkdir(TOOLS, { recursive: true });
  const folder = await mkdtemp(join(TOOLS, ".debian-"));
  try {
    const root = join(folder, "root");
    const options = ["--variant=minbase", `--include=${packages.join(",")}`];
    const name = await release();
    await run("sh", [program, ...options, name, root, await mirrorOf(name)], { env });
    await rm(join(root, "var/cache/apt/archives"), { recursive: true });
    const archive = join(folder, "root.tar");
    await run("tar", ["--numeric-owner", "--one-file-system", "-C", root, "-cf", archive, "."]);
    await rename(archive, kept);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return kept;
}

/** Unpacks such an archive into an empty folder. */
export async function unpackRoot(archive: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await run("tar", ["--numeric-owner", "-C", folder, "-xpf", archive]);
}

/** The server from which apt-get downloads this release: a machine may reach no other. */
async function mirrorOf(name: string): Promise<string> {
  const output = await run("apt-get", ["indextargets", "--format", "$(RELEASE) $(REPO_URI)"]);
  const mirror = output.split("\n").find((line) => line.startsWith(`${name} `));
  if (mirror === undefined) throw new Error(`apt-get has no source for ${name}.`);
  return mirror.slice(name.length + 1);
}

async function release(): Promise<string> {
  const name = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile("/etc/os-release", "utf8"))?.[1];
  if (name === undefined) throw new Error("/etc/os-release has no VERSION_CODENAME.");
  return name;
}
