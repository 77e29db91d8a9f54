import { copyFile, mkdir, mkdtemp, readdir, realpath, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../scripts/run.ts";
import { removeAtEnd } from "./at-end.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Node 24 and tsc come from here. */
const BIN = join(ROOT, "node_modules/.bin");

/** The PATH of a process that has this repository's tools. */
export const TOOLS_PATH = [BIN, process.env["PATH"]].join(delimiter);

/** Packs the package from a copy of the working tree. Returns the path of the tarball. */
export async function packPackage(): Promise<string> {
  return packTree(await copyWorkingTree());
}

/** Packs the package from a tree of `copyWorkingTree`. */
export async function packTree(tree: string): Promise<string> {
  const folder = await newFolder();
  await run("npm", ["pack", "--pack-destination", folder], { cwd: tree, env: { PATH: TOOLS_PATH } });
  const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack made no tarball.");
  return join(folder, tarball);
}

/** Copies what belongs to the repository, because a build replaces dist/, which another test may read. */
export async function copyWorkingTree(): Promise<string> {
  const tree = join(await newFolder(), "tree");
  const listed = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
  });
  for (const name of listed.split("\0").filter((one) => one !== "" && one !== "node_modules")) {
    await mkdir(dirname(join(tree, name)), { recursive: true });
    // A file that is deleted in the working tree is still in the index.
    await copyFile(join(ROOT, name), join(tree, name)).catch(ignoreMissing);
  }
  await symlink(await realpath(join(ROOT, "node_modules")), join(tree, "node_modules"));
  return tree;
}

async function newFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "latchkey-package-")));
  removeAtEnd(folder);
  return folder;
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "EISDIR")))
    throw error;
}
