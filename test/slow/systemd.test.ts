import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { systemdAnalyze } from "../../scripts/systemd-analyze.ts";
import { readConfig } from "../../src/config/load.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { newSecret } from "../support/keys.ts";

const SYSTEMD = fileURLToPath(new URL("../../deploy/systemd/", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../bin/latchkey.js", import.meta.url));
const unit = readFileSync(join(SYSTEMD, "latchkey.service"), "utf8");
const withRedis = readFileSync(join(SYSTEMD, "redis.conf"), "utf8");
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "latchkey-systemd-"));
  removeAtEnd(folder);
});

/** The unit with this machine's paths of Node and Latchkey, because its programs must exist. */
function place(text: string, dropIn?: string): string {
  const here = text
    .replace("/usr/bin/node", process.execPath)
    .replace("/usr/lib/node_modules/latchkey/bin/latchkey.js", PROGRAM);
  expect(here).not.toBe(text);
  const file = join(folder, "latchkey.service");
  writeFileSync(file, here);
  mkdirSync(`${file}.d`, { recursive: true });
  writeFileSync(join(`${file}.d`, "redis.conf"), dropIn ?? "");
  return file;
}

async function analyze(...args: readonly string[]) {
  const { program, env } = await systemdAnalyze();
  const { PATH } = process.env;
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", env: { PATH, ...env } });
  return { status, said: `${stdout}${stderr}` };
}

/** All values of a directive, in their order. */
const valuesOf = (text: string, directive: string) =>
  [...text.matchAll(new RegExp(`^${directive}=(.*)$`, "gm"))].map(([, value = ""]) => value);

/** The service's environment, with its credentials folder for %d. */
function environmentOf(text: string): Record<string, string> {
  const pairs = valuesOf(text, "Environment").flatMap((value) => value.split(" "));
  return Object.fromEntries(pairs.map((pair) => pair.split("=", 2)));
}

describe("deploy/systemd/latchkey.service", () => {
  test.each([
    ["alone", undefined],
    ["with redis.conf", withRedis],
  ])("%s: systemd accepts every line", async (_, dropIn) => {
    expect(await analyze("verify", place(unit, dropIn))).toEqual({ status: 0, said: "" });
  });

  test("systemd's check detects invalid lines", async () => {
    const { said } = await analyze("verify", place(unit.replace("ProtectHome=yes", "ProtectHome=perhaps")));
    expect(said).toContain("protect home value");
  });

  test("the unit is confined: systemd's own exposure score is at most 1.5 of 10", async () => {
    const { status, said } = await analyze("security", "--offline=true", "--threshold=15", place(unit));
    expect([status, said]).toEqual([0, expect.stringContaining("exposure level for latchkey.service")]);
  });

  test.each([
    ["alone", unit],
    ["with redis.conf", `${unit}\n${withRedis}`],
  ])("%s: Latchkey starts in production with exactly the unit's environment", (_, text) => {
    const credentials = valuesOf(text, "LoadCredential").map((value) => value.split(":")[0]);
    const environment = environmentOf(text);
    const isSetting = (name: string) =>
      Object.hasOwn(SETTINGS, name.replace(/_FILE$/, "")) || Object.hasOwn(SETTINGS, name);
    expect(Object.keys(environment).filter((name) => name !== "NODE_ENV" && !isSetting(name))).toEqual([]);
    const config = readConfig(environment, (path) => {
      expect(credentials).toContain(path.replace("%d/", ""));
      return path === "%d/REDIS_URL" ? "rediss://latchkey:a-password@redis:6379" : newSecret();
    });
    expect(config).toMatchObject({ ok: true, settings: { ENVIRONMENT: "production" } });
  });

  test("the unit has time to drain and to close before it is killed", () => {
    const stopSeconds = Number(valuesOf(unit, "TimeoutStopSec")[0]);
    expect(stopSeconds).toBeGreaterThanOrEqual(Number(SETTINGS.DRAIN_SECONDS.default) + 10);
  });
});
