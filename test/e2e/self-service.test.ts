import { describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startRedis } from "../support/redis.ts";

const POLICY = `
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1h, self_service: true } }
routes: [{ path: /a/**, scopes: [a] }]
guards: { self_service_keys: 3, open_calls: 1000/s }
`;

describe.each(["embedded", "redis"])("self-service on the %s store", (store) => {
  test("self-service opens again, for V1 and V2 keys, once holders have revoked the keys that filled it", async () => {
    const redis = store === "redis" ? await startRedis() : undefined;
    const env = { JWT_SECRET: newSecret(), ...(redis && { REDIS_URL: redis.url }) };
    const latchkey = await startLatchkey(env, { policy: POLICY });
    try {
      const client = createClient({ url: `http://${latchkey.http}` });
      const asked = { name: "n", key_type: "basic" };
      const full = { status: 503, reason: "too-many-keys" };
      const ways = [() => client.registerLegacy(asked), () => client.register(asked)];
      for (const register of [...ways, ...ways]) {
        const keys = [await register(), await register(), await register()];
        for (const way of ways) await expect(way()).rejects.toMatchObject(full);
        for (const { api_key } of keys) await client.revoke(api_key);
      }
    } finally {
      await latchkey.stop();
      await redis?.stop();
    }
  });
});
