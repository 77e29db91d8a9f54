import { join } from "node:path";
import { debianTool } from "./debian.ts";

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
  return unpack("buildah", packages, "usr/bin/buildah");
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

async function unpack(name: string, packages: readonly string[], program: string): Promise<Unpacked> {
  const root = await debianTool({ name, packages, program });
  const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  const folders = [
    `usr/lib/${triplet}`,
    `lib/${triplet}`,
    `usr/lib/${triplet}/systemd`,
    `lib/${triplet}/systemd`,
  ];
  const LD_LIBRARY_PATH = folders.map((path) => join(root, path)).join(":");
  return { root, program: join(root, program), env: { LD_LIBRARY_PATH } };
}
