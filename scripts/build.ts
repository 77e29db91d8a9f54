import { spawnSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

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
    filter: (path) => !/\.[a-z]+$/.test(path) || READ_AT_RUN_TIME.test(path),
  });
}
process.exitCode = status === 0 ? 0 : 1;
