import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { run } from "./run.ts";

/**
 * Prints the bill of materials of the package and of the image: CycloneDX, by npm, from the lock file. `npm sbom --omit dev` would
 * lack each runtime dependency that a development dependency also needs, so npm reads a project without the latter.
 */
const temporary = await mkdtemp(join(tmpdir(), "latchkey-sbom-"));
try {
  // npm names the bill for its folder.
  const folder = join(temporary, "latchkey");
  await mkdir(folder);
  const source = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
  const own = z
    .looseObject({ devDependencies: z.unknown() })
    .parse(JSON.parse(await readFile(source("package.json"), "utf8")));
  const { devDependencies: _, ...shipped } = own;
  await writeFile(join(folder, "package.json"), JSON.stringify(shipped));
  await copyFile(source("package-lock.json"), join(folder, "package-lock.json"));
  // Removes the development dependencies from the lock file, and keeps the versions of all others.
  await run("npm", ["install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: folder,
  });
  console.log(
    await run("npm", ["sbom", "--package-lock-only", "--sbom-format", "cyclonedx"], { cwd: folder }),
  );
} finally {
  await rm(temporary, { recursive: true, force: true });
}
