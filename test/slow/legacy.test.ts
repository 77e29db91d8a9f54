import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createClient } from "../../src/client/client.ts";
import type { Deployment, Instance } from "../support/deployment.ts";
import { startDeployment } from "../support/deployment.ts";
import { newSecret } from "../support/keys.ts";

const POLICY = `
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d, self_service: true, rate_limits: [{ name: n, per: key, capacity: 100, refill: 10/s }] }
  tight: { scopes: [a], ttl: 7d, refresh_window: 1d, self_service: true, rate_limits: [{ name: n, per: key, capacity: 3, refill: 1/h }] }
  brief: { scopes: [a], ttl: 1s, refresh_window: 1s, self_service: true, max_family_age: 3s }
  shared: { scopes: [a], ttl: 7d, refresh_window: 1d, rate_limits: [{ name: n, per: owner, capacity: 3, refill: 1/h }] }
routes: [{ path: /a/**, scopes: [a] }]
guards: { open_calls: 100000/s, failures: 100000/s }
`;

const [FORMER, NEXT] = [newSecret(), newSecret()];

describe.each(["embedded", "redis"] as const)("V1 keys on the %s store", (store) => {
  let deployment: Deployment;
  let first: Instance;
  /** A second instance if the store supports several, else the first one. */
  let other: Instance;

  beforeAll(async () => {
    deployment = await startDeployment(store, POLICY, {
      KEY_HASH_SECRET: FORMER,
      KEY_HASH_SECRET_PREVIOUS: NEXT,
    });
    ({ first, other } = both());
  });
  afterAll(() => deployment?.stop());

  const both = () => {
    const [a, b = a] = deployment.instances;
    return { first: a, other: b };
  };
  const register = (key_type = "basic") => first.client.registerLegacy({ name: "v1", key_type });

  test("a registered V1 key is valid in both headers, is identified to upstream, and is stored nowhere in clear text", async () => {
    const { api_key, key_id, role } = await register();
    expect([api_key, role]).toEqual([expect.stringMatching(/^lk1_[A-Za-z0-9]{38}$/), "basic"]);
    for (const name of ["authorization", "x-api-key"] as const)
      expect(await other.reasonOf(api_key, name)).toBe("allowed");
    expect(new Map(deployment.upstream.requests.at(-1)?.headers).get("x-latchkey-key-id")).toBe(key_id);
    expect(await other.client.validate(api_key)).toMatchObject({ valid: true, key_id, expires_at: null });
    expect(await other.client.keys.show(key_id)).toMatchObject({
      legacy: true,
      expires_at: null,
      status: "active",
    });
    const { redis } = deployment;
    if (redis) {
      for (const name of (await redis.cli("--scan")).split("\n")) expect(name).not.toContain(api_key);
      expect(await redis.cli("GET", `api_key:${key_id}`)).not.toContain(api_key.slice(4));
    }
    for (const { latchkey } of deployment.instances) expect(latchkey.output()).not.toContain(api_key);
  });

  test("repeated exchanges of a V1 key return V2 keys until the family reaches its maximum age", async () => {
    const { api_key } = await register("brief");
    const startMs = Date.now();
    const issued: string[] = [];
    const exchange = async () => {
      const result = await other.client.migrate(api_key).catch((error: unknown) => error);
      if (result instanceof Error) return result;
      issued.push(z.object({ expires_at: z.string() }).parse(result).expires_at);
      return undefined;
    };
    await expect.poll(exchange).toMatchObject({ status: 409, reason: "family-too-old" });
    expect(new Set(issued).size).toBeGreaterThan(1);
    // Times are in whole seconds.
    const last = Math.max(...issued.map((time) => Date.parse(time)));
    expect(last).toBeLessThanOrEqual(Date.parse(issued[0] ?? "") + 2000);
    expect(last).toBeGreaterThan(startMs);
    expect(await first.reasonOf(api_key)).toBe("allowed");
  });

  test("a mistyped V1 key is denied, and so is a V1 key in the form of a JWT", async () => {
    const { api_key } = await register();
    const typo = api_key.slice(0, -1) + (api_key.endsWith("A") ? "B" : "A");
    expect(await first.reasonOf(typo)).toBe("credential_invalid");
    expect(await first.reasonOf(`${api_key}.a.b`)).toBe("credential_invalid");
    expect(await first.reasonOf("unknown-key")).toBe("credential_invalid");
  });

  test("a V1 key is limited, disabled, renamed, revoked and introspected like any key, on every instance", async () => {
    const { api_key, key_id } = await register("tight");
    const statuses: number[] = [];
    for (let sent = 0; sent < 4; sent++) statuses.push((await other.ask(api_key)).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    const reason = () => other.reasonOf(api_key);
    await first.client.keys.change(key_id, { disabled: true });
    await expect.poll(reason).toBe("key_disabled");
    await first.client.keys.change(key_id, { disabled: false, name: "renamed" });
    await first.client.limits.reset(key_id);
    const upstreamName = async () => {
      await other.ask(api_key);
      return new Map(deployment.upstream.requests.at(-1)?.headers).get("x-latchkey-name");
    };
    await expect.poll(upstreamName).toBe("renamed");
    expect(await other.client.introspect(api_key)).toMatchObject({ active: true, jti: key_id });
    await createClient({ url: `http://${first.latchkey.http}` }).revoke(api_key);
    await expect.poll(reason).toBe("key_revoked");
    await expect(other.client.migrate(api_key)).rejects.toMatchObject({ reason: "key-revoked" });
  });

  test("migrate returns a V2 key with the same family and buckets, repeatedly, and the V1 key stays valid", async () => {
    const { api_key, key_id } = await register("tight");
    // Concurrent calls with one key are one exchange.
    const all = await Promise.all([first, other, first, other].map(({ client }) => client.migrate(api_key)));
    const [v2 = await Promise.reject(new Error("no key"))] = all;
    expect(new Set(all.map((issued) => issued.key_id)).size).toBe(1);
    expect(v2.api_key.split(".").length).toBe(3);
    const [old, fresh] = [await first.client.keys.show(key_id), await first.client.keys.show(v2.key_id)];
    expect([old.family, old.role, old.status]).toEqual([fresh.family, fresh.role, "active"]);
    for (const key of [api_key, v2.api_key, api_key]) expect(await first.reasonOf(key)).toBe("allowed");
    expect(await first.reasonOf(v2.api_key)).toBe("rate_limited");
    await first.client.keys.rotate(v2.key_id);
    const third = await other.client.migrate(api_key);
    expect(third.key_id).not.toBe(v2.key_id);
    expect((await first.client.keys.show(third.key_id)).family).toBe(old.family);
    await expect(first.client.migrate("lk1_none")).rejects.toMatchObject({ status: 401 });
  });

  test("the V2 key for a V1 key of an owner uses the owner's bucket", async () => {
    const [one, two] = [`shared-${newSecret()}`, `shared-${newSecret()}`];
    const lines = [one, two].map((api_key) => JSON.stringify({ api_key, role: "shared", owner: "acme" }));
    expect(await first.client.keys.import(lines.join("\n"))).toMatchObject({ imported: 2 });
    const v2 = (await first.client.migrate(one)).api_key;
    const reasons: string[] = [];
    for (const key of [one, v2, two, v2]) reasons.push(await first.reasonOf(key));
    expect(reasons).toEqual(["allowed", "allowed", "allowed", "rate_limited"]);
  });

  // The embedded store has only one instance, so there is nothing to rotate instance by instance.
  if (store === "redis")
    test("KEY_HASH_SECRET rotates instance by instance: keys stay valid and are stored under the new secret", async () => {
      const { api_key, key_id } = await register();
      const expectAllowed = async () => {
        for (const { reasonOf } of deployment.instances)
          await expect.poll(() => reasonOf(api_key)).toBe("allowed");
      };
      // Every instance accepts both secrets from the start: the first of the three steps.
      for (const at of deployment.instances.keys()) {
        await deployment.restart(at, { KEY_HASH_SECRET: NEXT, KEY_HASH_SECRET_PREVIOUS: FORMER });
        await expectAllowed();
      }
      // After one use with the new secret, the key no longer needs the former one.
      const withNewSecretOnly = async () => {
        await deployment.restart(0, { KEY_HASH_SECRET: NEXT, KEY_HASH_SECRET_PREVIOUS: "" });
        return deployment.instances[0].client.validate(api_key).catch(() => undefined);
      };
      await expect.poll(withNewSecretOnly).toMatchObject({ key_id });
    });
});
