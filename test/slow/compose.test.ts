import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { goProgram } from "../../scripts/checkers.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { readCompose } from "../support/compose.ts";
import { registerKey } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startRedis } from "../support/redis.ts";

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

test("Redis with the shipped users and the service's command admits Latchkey by its password, and no other user", async () => {
  const { services, secrets } = readCompose();
  expect(statSync(join(folder, "compose/secrets")).mode & 0o777).toBe(0o700);
  const secret = (path: string) =>
    join(folder, "compose", secrets[path.replace("/run/secrets/", "")]?.file ?? "");
  const [, ...args] = services["redis"]?.command ?? [];
  const redis = await startRedis({
    args: args.map((arg) => (arg.startsWith("/run/secrets/") ? secret(arg) : arg)),
  });
  const env = Object.entries(services["latchkey"]?.environment ?? {}).map(([name, value]) => [
    name,
    value.startsWith("/run/secrets/") ? secret(value) : value,
  ]);
  const latchkey = await startLatchkey({
    ...Object.fromEntries(env),
    ENVIRONMENT: "production",
    OPERATOR_LISTEN: "127.0.0.1:0",
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redis.port),
    DRAIN_SECONDS: "0",
  });
  try {
    await registerKey(latchkey.http);
    expect(await redis.cli("ping")).toContain("NOAUTH");
    const token = readFileSync(secret("/run/secrets/admin_token"), "utf8").trim();
    const seen = await fetch(`http://${latchkey.operator}/api/admin/keys`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(seen.status).toBe(200);
  } finally {
    await latchkey.stop();
    await redis.stop();
  }
});
