import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { secretKid } from "../../src/jwt/key-ring.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { jwkSet, newJwk } from "../support/jwk.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runHere } from "../support/program.ts";
import { startRedis } from "../support/redis.ts";

const DAY_SECONDS = 86_400;
const daysAgo = (days: number) => new Date(Date.now() - days * DAY_SECONDS * 1000).toISOString();

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-ages-"));
  removeAtEnd(folder);
  return folder;
}

/** The age in days from the metric of a running instance. Undefined if the metric is absent. */
async function ageOf(ops: string, kid: string): Promise<number | undefined> {
  const metrics = await (await fetch(`http://${ops}/metrics`)).text();
  const found = new RegExp(`latchkey_signing_key_age_seconds\\{kid="${kid}",use="\\w+"\\} (\\S+)`).exec(
    metrics,
  );
  return found === null ? undefined : Math.floor(Number(found[1]) / DAY_SECONDS);
}

describe("the age of a signing key", () => {
  test("comes from its file", async () => {
    const key = { ...newJwk("EdDSA", "one"), added_at: daysAgo(100) };
    const JWT_KEYS_FILE = join(await newFolder(), "keys.json");
    await writeFile(JWT_KEYS_FILE, jwkSet(key));
    const latchkey = await startLatchkey({ JWT_KEYS_FILE });
    await expect.poll(() => ageOf(latchkey.ops, "one")).toBe(100);
    await latchkey.stop();
    expect((await runHere(["secrets", "list"], { JWT_KEYS_FILE })).stdout).toMatch(/^one .* 100 d$/m);
  });

  test("counts for a secret from the time when an instance first had it, over restarts", async () => {
    const [JWT_SECRET, DATA_DIR] = [newSecret(), await newFolder()];
    const kid = secretKid(JWT_SECRET);
    const timeFile = join(DATA_DIR, `signing_key_seen_${kid}`);
    const first = await startLatchkey({ JWT_SECRET, DATA_DIR });
    await expect.poll(() => ageOf(first.ops, kid)).toBe(0);
    await first.stop();
    expect(Date.parse((await readFile(timeFile, "utf8")).trim())).toBeGreaterThan(Date.now() - 120_000);
    await writeFile(timeFile, `${daysAgo(91)}\n`);
    const second = await startLatchkey({ JWT_SECRET, DATA_DIR });
    await expect.poll(() => ageOf(second.ops, kid)).toBe(91);
    await second.stop();
    const listed = await runHere(["secrets", "list", "--json"], { JWT_SECRET, DATA_DIR });
    expect(JSON.parse(listed.stdout)).toMatchObject({ kid, state: "signs", added_at: expect.any(String) });
  });

  test("is the same for all instances of a fleet and for the command line", async () => {
    const redis = await startRedis();
    const JWT_SECRET = newSecret();
    const kid = secretKid(JWT_SECRET);
    const env = { JWT_SECRET, REDIS_URL: redis.url };
    const one = await startLatchkey(env);
    await expect.poll(() => ageOf(one.ops, kid)).toBe(0);
    await redis.cli("SET", `latchkey:secret:signing_key_seen_${kid}`, daysAgo(30));
    const other = await startLatchkey(env);
    await expect.poll(() => ageOf(other.ops, kid)).toBe(30);
    expect((await runHere(["secrets", "list"], env)).stdout).toMatch(new RegExp(`^${kid} .* 30 d$`, "m"));
    await Promise.all([one.stop(), other.stop()]);
    await redis.stop();
    const without = await runHere(["secrets", "list"], env);
    expect([without.status, without.stdout]).toEqual([0, expect.stringMatching(/ -$/m)]);
    expect(without.stderr).toContain("the store is unavailable, so the age of some keys is unknown");
  });

  test("is not recorded by an instance whose keys are not those of the fleet", async () => {
    const redis = await startRedis();
    const JWT_SECRET = newSecret();
    const one = await startLatchkey({ JWT_SECRET, REDIS_URL: redis.url });
    const foreign = newSecret();
    const other = await startLatchkey({ JWT_SECRET: foreign, REDIS_URL: redis.url });
    await expect.poll(async () => (await fetch(`http://${other.ops}/readyz`)).status).toBe(503);
    expect(await redis.cli("EXISTS", `latchkey:secret:signing_key_seen_${secretKid(foreign)}`)).toContain(
      "0",
    );
    expect(await redis.cli("EXISTS", `latchkey:secret:signing_key_seen_${secretKid(JWT_SECRET)}`)).toContain(
      "1",
    );
    await Promise.all([one.stop(), other.stop()]);
    await redis.stop();
  });
});

describe("a policy in production", () => {
  const production = async (policy: string) => {
    const DATA_DIR = await newFolder();
    await mkdir(DATA_DIR, { recursive: true });
    const secrets = ["JWT_SECRET", "KEY_HASH_SECRET", "AUDIT_KEY", "ADMIN_TOKEN"].map((name) => [
      name,
      newSecret(),
    ]);
    const env = {
      ENVIRONMENT: "production",
      OPERATOR_LISTEN: "127.0.0.1:0",
      DATA_DIR,
      ...Object.fromEntries(secrets),
    };
    const latchkey = await startLatchkey(env, { policy });
    await latchkey.stop();
    return latchkey.output();
  };

  test("does not set headers.require_https causes a warning with the choices", async () => {
    const output = await production("audit: { requests: all }\n");
    expect(output).toContain("the policy does not set headers.require_https");
    expect(output).toMatch(/ends in Envoy, set true.*a mesh.*set false/);
  });

  test.each(["true", "false"])("sets it to %s causes no warning", async (choice) => {
    expect(await production(`headers: { require_https: ${choice} }\n`)).not.toContain("require_https");
  });
});
