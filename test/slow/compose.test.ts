import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { goProgram } from "../../scripts/checkers.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { readCompose } from "../support/compose.ts";

const DEPLOY = fileURLToPath(new URL("../../deploy", import.meta.url));
let folder: string;

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "latchkey-compose-")));
  removeAtEnd(folder);
  cpSync(DEPLOY, folder, { recursive: true });
  for (const _ of ["the first time", "again"]) {
    const { status, stderr } = spawnSync("sh", [join(folder, "compose/make-secrets.sh")], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
  }
});

test("the loader of docker compose accepts the file, by its schema and as a whole", async () => {
  const { status, stdout, stderr } = spawnSync(
    await goProgram("compose"),
    ["-format", "json", "compose.yaml"],
    {
      cwd: join(folder, "compose"),
      encoding: "utf8",
    },
  );
  expect([status, stderr]).toEqual([0, ""]);
  expect(Object.keys(JSON.parse(stdout).services).sort()).toEqual(Object.keys(readCompose().services).sort());
});

test("the loader rejects an invalid file", async () => {
  const file = join(folder, "wrong.yaml");
  writeFileSync(file, "services: { a: { image: x, prots: [] } }\n");
  const { status, stdout, stderr } = spawnSync(await goProgram("compose"), [file], { encoding: "utf8" });
  expect([status, stdout + stderr]).toEqual([1, expect.stringContaining("prots")]);
});

test("the folder of the secrets excludes other users of the host", () => {
  expect(statSync(join(folder, "compose/secrets")).mode & 0o777).toBe(0o700);
});
