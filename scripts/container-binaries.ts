import { join } from "node:path";
import { type DebianTool, debianTool, libraryPath } from "./debian.ts";
import { run } from "./run.ts";

/** A program of Debian that is unpacked, not installed. */
export interface Unpacked {
  /** The folder that is the root of its packages. */
  readonly root: string;
  readonly program: string;
  /** What it needs in its environment to find its own files. */
  readonly env: Readonly<Record<string, string>>;
}

/** Builds images without a daemon. */
export function buildah(): Promise<Unpacked> {
  const packages = [
    "buildah",
    "libgpgme11",
    "libassuan0",
    "libdevmapper1.02.1",
    "libseccomp2",
    "golang-github-containers-common",
    "golang-github-containers-image",
  ];
  const program = "usr/bin/buildah";
  // It starts itself again with an empty environment and inside another root, so it has to know where its libraries are.
  return unpack("buildah", packages, program, (unpacked, root) =>
    nameLibraries(join(unpacked, program), root),
  );
}

/** Starts containers, without a daemon. */
export function runc(): Promise<Unpacked> {
  return unpack("runc", ["runc", "libseccomp2"], "usr/sbin/runc");
}

/** Starts a container that has its own systemd. */
export function systemdNspawn(): Promise<Unpacked> {
  const packages = ["systemd-container", "libsystemd-shared", "libseccomp2", "libacl1"];
  return unpack("systemd-container", packages, "usr/bin/systemd-nspawn");
}

/** Makes the root of a Debian. */
export async function debootstrap(): Promise<Unpacked> {
  const unpacked = await unpack("debootstrap", ["debootstrap"], "usr/sbin/debootstrap");
  return { ...unpacked, env: { DEBOOTSTRAP_DIR: join(unpacked.root, "usr/share/debootstrap") } };
}

async function unpack(
  name: string,
  packages: readonly string[],
  program: string,
  prepare?: DebianTool["prepare"],
): Promise<Unpacked> {
  const root = await debianTool({ name, packages, program, ...(prepare && { prepare }) });
  return { root, program: join(root, program), env: { LD_LIBRARY_PATH: libraryPath(root) } };
}

/** Writes into an unpacked program where its libraries will be. */
async function nameLibraries(program: string, root: string): Promise<void> {
  const patchelf = await unpack("patchelf", ["patchelf"], "usr/bin/patchelf");
  await run(patchelf.program, ["--force-rpath", "--set-rpath", libraryPath(root), program]);
}
