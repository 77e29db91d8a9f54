import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { check } from "../support/checks.ts";
import { EXT_AUTHZ, startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
/** A month, so that no window ends during the test unless the test runs at the end of a month. */
const POLICY = `
plans:
  free: { quotas: [{ name: monthly, per: owner, limit: 10, every: month }] }
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 12h, plan: free }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 10000/s }
`;

let upstream: Upstream;
let latchkey: TestedLatchkey;
let envoy: EnvoyProcess;
let admin: LatchkeyClient;

/** The number of requests that the key is admitted before it is denied, at most 200. */
async function admitted(token: string): Promise<number> {
  for (let count = 0; count < 200; count++)
    if ((await check(envoy, "/a/x", token)).status === 429) return count;
  return 200;
}

describe.each(["embedded", "redis"])("with the %s store, an override of a quota", (store) => {
  let redis: TestedRedis | undefined;

  beforeAll(async () => {
    upstream = await startUpstream();
    if (store === "redis") redis = await startRedis();
    latchkey = await startLatchkey(
      {
        ADMIN_TOKEN,
        JWT_SECRET: newSecret(),
        ...(redis && { REDIS_URL: redis.url, REDIS_COMMAND_TIMEOUT_MS: "2000" }),
      },
      { policy: POLICY },
    );
    envoy = await startEnvoy({
      authzTarget: latchkey.grpc,
      upstreamPort: upstream.port,
      // The machine may be busy.
      edit: (bootstrap) => bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "timeout"], "5s"),
    });
    admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  });

  afterAll(async () => {
    await Promise.all([envoy?.stop(), latchkey?.stop()]);
    await Promise.all([upstream?.stop(), redis?.stop()]);
  });

  test("raises from 10 to 100 after 10 were spent: 90 more; lowers below what was spent: none; extra units come on top", async () => {
    const owner = `owner-${randomUUID()}`;
    const { api_key: token } = await admin.register({ name: "n", key_type: "basic", owner });
    expect(await admitted(token)).toBe(10);
    await admin.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 100 }] });
    expect(await admitted(token)).toBe(90);
    await admin.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 50 }] });
    expect(await admitted(token)).toBe(0);
    await admin.limits.setOverride({ owner }, { quotas: [{ name: "monthly", limit: 100, extra: 7 }] });
    expect(await admitted(token)).toBe(7);
    await admin.limits.clearOverride({ owner });
    expect(await admitted(token)).toBe(0);
  });
});
