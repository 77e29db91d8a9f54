import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundleConsole } from "../src/api/console/bundle.ts";

/** Files that the program reads at run time and that the compiler does not copy. */
const READ_AT_RUN_TIME = /\.(?:lua|html|css|js|svg)$/;

const folder = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));

// Otherwise the output of a deleted source would stay in the package.
rmSync(folder("dist"), { recursive: true, force: true });
const { status, error } = spawnSync("tsc", ["--project", folder("tsconfig.build.json")], {
  stdio: "inherit",
});
if (error !== undefined) console.error(`tsc: ${error.message}`);
if (status === 0) {
  cpSync(folder("src"), folder("dist"), {
    recursive: true,
    // The sources of the console are bundled instead.
    filter: (path) =>
      path !== folder("src/console") && (!/\.[a-z]+$/.test(path) || READ_AT_RUN_TIME.test(path)),
  });
  mkdirSync(folder("dist/console"));
  for (const { name, bytes } of await bundleConsole()) writeFileSync(folder(`dist/console/${name}`), bytes);
}
process.exitCode = status === 0 ? 0 : 1;
