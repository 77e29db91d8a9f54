import { rename, writeFile } from "node:fs/promises";

/** Replaces a file by a rename, as an editor or a ConfigMap does. A reader never sees a part of the new text. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
