import { afterAll, beforeAll, expect, test } from "vitest";
import { probeCommands, registryProbe } from "../../src/redis/acl-probe.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { createOneServer } from "../../src/redis/one-server.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import { latchkeyUser } from "../support/redis-user.ts";

const PASSWORD = newSecret();
const [, ...RULES] = latchkeyUser(PASSWORD);
/** Permissions for scripts, which the first heartbeat of a start tests. */
const BY_SCRIPTS = new Set(["+eval", "+evalsha"]);

let redis: TestedRedis;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

/** Runs the probe as this user. */
async function probe(user: string): Promise<void> {
  const client = await connectRedis({
    url: `redis://${user}:${PASSWORD}@127.0.0.1:${redis.port}/1`,
    server: createOneServer(),
    commandTimeoutMs: 10_000,
  });
  try {
    await probeCommands(client, registryProbe(client, "test"));
  } finally {
    await client.close();
  }
}

test("the probe detects any command of the shipped ACL that a user lacks, and leaves no Redis key behind", async () => {
  const granted = RULES.filter((rule) => rule.startsWith("+") && !BY_SCRIPTS.has(rule));
  expect(granted.length).toBeGreaterThan(40);
  for (const rule of granted) {
    await redis.cli("ACL", "SETUSER", "less", "reset", ...RULES.filter((other) => other !== rule));
    const failed = await probe("less").then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failed, rule).toMatchObject({
      rejectedSetting: expect.stringMatching(/REDIS_.*(ACL|permissions)/),
    });
  }
  await redis.cli("ACL", "SETUSER", "whole", "reset", ...RULES);
  await probe("whole");
  expect(await redis.cli("-n", "1", "KEYS", "*")).toBe("");
});

test("a user without permission for one of the two prefixes is rejected", async () => {
  for (const prefix of ["~api_key:*", "~latchkey:*"]) {
    await redis.cli("ACL", "SETUSER", "narrow", "reset", ...RULES.filter((rule) => rule !== prefix));
    await expect(probe("narrow")).rejects.toMatchObject({ rejectedSetting: expect.stringContaining("ACL") });
  }
});
