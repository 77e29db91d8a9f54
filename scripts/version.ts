import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { versionEdits } from "./version-edits.ts";

/** `npm version X` runs this before it commits: it puts X where package.json is not read, and dates the changelog. */
const version = process.env["npm_package_version"];
if (version === undefined) throw new Error("Run `npm version`, which sets npm_package_version.");
for (const { file, edit } of versionEdits(version, new Date())) {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  writeFileSync(path, edit(readFileSync(path, "utf8")));
}
