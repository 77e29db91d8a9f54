import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { goProgram } from "../../scripts/checkers.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { OVERLAYS, readCompose } from "../support/compose.ts";

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

/** The loader prints a merged environment as a list. */
const assignments = z
  .array(z.string())
  .transform((list) => Object.fromEntries(list.map((line) => line.split(/=(.*)/s).slice(0, 2))));
const loaded = z.object({
  services: z.record(
    z.string(),
    z.object({
      command: z.array(z.string()).nullish(),
      environment: z.union([z.record(z.string(), z.string()), assignments]).nullish(),
      secrets: z.array(z.object({ source: z.string() })).nullish(),
      volumes: z.array(z.object({ source: z.string(), target: z.string() })).nullish(),
      depends_on: z.record(z.string(), z.object({ condition: z.string() })).nullish(),
    }),
  ),
});

test.each([undefined, ...OVERLAYS])(
  "the loader of docker compose reads the files as the tests do (%s)",
  async (overlay) => {
    const files = ["compose.yaml", ...(overlay === undefined ? [] : [overlay])];
    const { status, stdout, stderr } = spawnSync(await goProgram("compose"), ["-format", "json", ...files], {
      cwd: join(folder, "compose"),
      encoding: "utf8",
    });
    expect([status, stderr]).toEqual([0, ""]);
    const { services } = loaded.parse(JSON.parse(stdout));
    const ours = readCompose(overlay).services;
    expect(Object.keys(services).sort()).toEqual(Object.keys(ours).sort());
    for (const [name, service] of Object.entries(services)) {
      const { command, environment, secrets, volumes, depends_on = {} } = ours[name] ?? {};
      expect(service.command ?? undefined).toEqual(command);
      expect(service.environment ?? {}).toEqual(environment);
      expect((service.secrets ?? []).map(({ source }) => source).sort()).toEqual(secrets?.toSorted());
      const targets = (service.volumes ?? []).map(({ target }) => target).sort();
      expect(targets).toEqual(volumes?.map((volume) => volume.split(":")[1]).sort());
      const conditions = Object.entries(depends_on).map(([on, how]) => [on, how.condition]);
      expect(
        Object.entries(service.depends_on ?? {})
          .map(([on, how]) => [on, how.condition])
          .sort(),
      ).toEqual(conditions.sort());
    }
  },
);

test("the loader rejects an invalid file", async () => {
  const file = join(folder, "wrong.yaml");
  writeFileSync(file, "services: { a: { image: x, prots: [] } }\n");
  const { status, stdout, stderr } = spawnSync(await goProgram("compose"), [file], { encoding: "utf8" });
  expect([status, stdout + stderr]).toEqual([1, expect.stringContaining("prots")]);
});

test("the folder of the secrets excludes other users of the host", () => {
  expect(statSync(join(folder, "compose/secrets")).mode & 0o777).toBe(0o700);
});
