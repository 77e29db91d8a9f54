import { access, constants, rename, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the programs that the scripts have fetched. Git ignores it. */
export const TOOLS = fileURLToPath(new URL("../.tools/", import.meta.url));

export async function findOnPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, name);
    if (folder !== "" && (await isExecutable(path))) return path;
  }
  return undefined;
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Moves a folder into place. If another process has done so in the meantime, uses its folder. */
export async function moveIntoPlace(from: string, to: string, binary: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!(await isExecutable(join(to, binary)))) throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
