import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The pages that are bundled, by the name of their entry in `src/console/`. */
export const BUNDLED_PAGES = ["main", "holder"] as const;

/** The packages whose code is in the bundle. */
const BUNDLED_PACKAGES = ["preact", "uplot"] as const;

/** One file of the bundle. The name contains a digest of the content. */
export interface BundledFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * Bundles the sources of the console. It needs esbuild, which the package does not have: the build runs it, and in development
 * the server does.
 */
export async function bundleConsole(): Promise<readonly BundledFile[]> {
  const { build } = await import("esbuild");
  const sources = new URL("../../console/", import.meta.url);
  const { outputFiles } = await build({
    entryPoints: BUNDLED_PAGES.map((page) => fileURLToPath(new URL(`${page}.tsx`, sources))),
    // The names of the files must not depend on where they are built.
    absWorkingDir: fileURLToPath(sources),
    entryNames: "[name]-[hash]",
    outdir: "out",
    // What the pages share is one file, which counts and travels once.
    splitting: true,
    chunkNames: "shared-[hash]",
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome120", "firefox120", "safari17"],
    jsx: "automatic",
    jsxImportSource: "preact",
    banner: { js: `/*!\n${await licenceNotices()}\n*/` },
    write: false,
    logLevel: "silent",
  });
  return outputFiles.map(({ path, contents }) => ({ name: basename(path), bytes: contents }));
}

/** What the licences of the bundled packages ask for in each copy. */
async function licenceNotices(): Promise<string> {
  const { resolve } = createRequire(import.meta.url);
  const notices = BUNDLED_PACKAGES.map(async (name) => {
    const licence = await readFile(
      new URL("LICENSE", pathToFileURL(resolve(`${name}/package.json`))),
      "utf8",
    );
    return `${name}\n\n${licence.trim()}`;
  });
  return (await Promise.all(notices)).join("\n\n");
}
