import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { startChild } from "./child.ts";
import { isExecutable, moveIntoPlace, TOOLS } from "./tools.ts";

/** A program of Debian. */
export interface DebianTool {
  /** The name of its folder in `.tools/`. */
  readonly name: string;
  /** The package, and its libraries that a minimal Debian lacks. */
  readonly packages: readonly string[];
  /** The path of the program, such as `usr/bin/…`. If it exists, the packages have been unpacked. */
  readonly program: string;
  /** Changes the unpacked packages once, before they move to the folder that will be their root. */
  readonly prepare?: (unpacked: string, root: string) => Promise<void>;
}

/**
 * Unpacks packages of Debian once into `.tools/`, without installing them or starting a service. Returns the folder that is
 * their root. Its error messages are for users.
 */
export async function debianTool({ name, packages, program, prepare }: DebianTool): Promise<string> {
  const kept = join(TOOLS, name);
  if (await isExecutable(join(kept, program))) return kept;
  await mkdir(TOOLS, { recursive: true });
  const beside = await mkdtemp(join(TOOLS, `.${name}-`));
  try {
    process.stderr.write(`Unpacking Debian's ${packages[0]}, once.\n`);
    await download(packages, beside);
    const out = join(beside, "out");
    for (const file of (await readdir(beside)).filter((entry) => entry.endsWith(".deb"))) {
      if (!(await run("dpkg", ["-x", join(beside, file), out], beside)))
        throw new Error(`${file} could not be unpacked.`);
    }
    await prepare?.(out, kept);
    await moveIntoPlace(out, kept, program);
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
  return kept;
}

const TRIPLET = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
const LIBRARIES = [
  `usr/lib/${TRIPLET}`,
  `lib/${TRIPLET}`,
  `usr/lib/${TRIPLET}/systemd`,
  `lib/${TRIPLET}/systemd`,
];

/** The folders of the libraries below a root of packages, as `LD_LIBRARY_PATH` has them. */
export function libraryPath(root: string): string {
  return LIBRARIES.map((path) => join(root, path)).join(":");
}

async function download(packages: readonly string[], folder: string): Promise<void> {
  if (await run("apt-get", ["download", ...packages], folder)) return;
  // Without a package list, apt-get finds no package.
  await run("apt-get", ["update"], folder);
  if (await run("apt-get", ["download", ...packages], folder)) return;
  throw new Error(
    `${packages[0]} could not be downloaded from Debian: install it (apt-get install ${packages[0]}).`,
  );
}

async function run(command: string, args: readonly string[], cwd: string): Promise<boolean> {
  try {
    const child = await startChild(command, args, {
      cwd,
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
    return (await child.exited) === 0;
  } catch {
    return false; // The program does not exist, so the system is not Debian.
  }
}
