import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startReceiver } from "../support/otlp.ts";
import { runLatchkey } from "../support/program.ts";
import { startRedis } from "../support/redis.ts";
import { startUpstream } from "../support/upstream.ts";

const POLICY = `
audit: { requests: all }
headers: { credential: [authorization, x-api-key, "cookie:session", "query:api_key"] }
`;

/** All output of a real instance, on every channel, after a run that used every kind of credential. */
test("no credential leaks: not in output, files, metrics or traces, nor in any response but the one that issues it", async () => {
  const redis = await startRedis();
  const { password } = new URL(redis.url);
  const [header, ...more] = Array.from({ length: 6 }, newSecret);
  const [jwt, previous, hash, audit, admin] = more;
  const secrets = {
    JWT_SECRET: jwt ?? "",
    JWT_SECRET_PREVIOUS: previous ?? "",
    KEY_HASH_SECRET: hash ?? "",
    AUDIT_KEY: audit ?? "",
    ADMIN_TOKEN: admin ?? "",
  };
  const [receiver, upstream] = await Promise.all([startReceiver(), startUpstream()]);
  const latchkey = await startLatchkey(
    {
      ...secrets,
      REDIS_URL: redis.url,
      LOG_LEVEL: "debug",
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_HEADERS: `x-token=${header}`,
    },
    { policy: POLICY },
  );
  const envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
  const [url, edge] = [`http://${latchkey.http}`, `http://127.0.0.1:${envoy.port}`];
  const operator = createClient({ url, token: secrets.ADMIN_TOKEN });
  const said: string[] = [];
  /** Sends a request and searches its whole response, except for what the upstream sent. */
  const ask = async (target: string, headers: Record<string, string> = {}, body?: object) => {
    const answer = await fetch(target, {
      method: body ? "POST" : "GET",
      headers: { ...headers, ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const isUpstreams = answer.ok && target.startsWith(edge);
    said.push(JSON.stringify([...answer.headers]), isUpstreams ? "" : text);
  };
  const through = (path: string, headers?: Record<string, string>) => ask(`${edge}${path}`, headers);
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  const first = await operator.register({ name: "first", key_type: "contributor", owner: "owner-1" });
  const second = await operator.keys.rotate(first.key_id);
  const legacy = await operator.registerLegacy({ name: "v1", key_type: "basic" });
  const migrated = await createClient({ url }).migrate(legacy.api_key);
  const keys = [first, second, legacy, migrated].map(({ api_key }) => api_key);
  const [key = "", , v1 = ""] = keys;
  const forged = `${key.slice(0, -8)}AAAAAAAA`;
  const guessed = newSecret();
  // At Envoy: in every place where a key may be, and where none belongs.
  for (const token of [...keys, forged, guessed]) {
    await through("/v1/chat/x", bearer(token));
    await through("/v1/models/x", { "x-api-key": token });
    await through("/v1/data/x", { cookie: `session=${token}` });
    await through(`/v1/chat/x?api_key=${token}`);
    await through("/v1/chat/x", { ...bearer(token), "x-api-key": token });
    await through("/v1/chat/x", { authorization: `Basic ${token}` });
  }
  for (const token of keys) {
    await through(`/v1/chat/${token}`);
    await through(`/v1/chat/a;p=${token}/%00`, bearer(token));
    await through("/v1/chat/x", { ...bearer(token), "x-request-id": token, traceparent: token });
    await through("/v1/chat/x", { host: `${token.slice(0, 60)}.example.com`, "user-agent": token });
  }
  // At the key API: used, invalid, in the wrong place, and as the subject of a call.
  for (const token of [...keys, forged, guessed, secrets.ADMIN_TOKEN, `${secrets.ADMIN_TOKEN}x`]) {
    await ask(`${url}/api/auth/v2/validate`, bearer(token));
    await ask(`${url}/api/admin/keys?limit=5`, bearer(token));
    await ask(`${url}/api/admin/keys/${token}`, bearer(secrets.ADMIN_TOKEN));
    await ask(`${url}/${token}?key=${token}`);
    await ask(`${url}/api/auth/v2/register`, bearer(token), { name: "n", key_type: token });
    await ask(`${url}/api/auth/v2/revoke`, {}, { key: token });
    await ask(`${url}/api/admin/explain`, bearer(secrets.ADMIN_TOKEN), {
      method: "GET",
      path: "/v1/chat/x",
      key: token,
    });
  }
  await ask(`${url}/api/auth/v2/refresh`, {}, { current_key: first.api_key });
  await ask(`${url}/api/auth/v2/refresh`, {}, { current_key: second.api_key });
  await ask(`${url}/api/auth/v2/migrate`, {}, { legacy_key: `${v1}x` });
  for (const path of [
    "keys",
    "audit",
    "policy",
    "roles",
    "status",
    "migration",
    `keys/${first.key_id}`,
    `limits/${first.key_id}`,
  ])
    await ask(`${url}/api/admin/${path}`, bearer(secrets.ADMIN_TOKEN));
  for (const path of ["/openapi.json", "/docs", "/.well-known/jwks.json"]) await ask(`${url}${path}`);
  await operator.keys.revoke(first.key_id);
  await ask(`${url}/api/auth/v2/validate`, bearer(first.api_key));
  const env = { LATCHKEY_URL: url, LATCHKEY_TOKEN: secrets.ADMIN_TOKEN };
  for (const command of [
    ["audit", "tail", "-n", "100"],
    ["keys", "list"],
    ["keys", "show", second.key_id],
  ]) {
    const { stdout, stderr } = runLatchkey(command, env);
    said.push(stdout, stderr);
  }
  // An unavailable Redis causes faults, whose messages could contain their input.
  const log = join(latchkey.cwd, "logs/api.log");
  await expect.poll(() => readFileSync(log, "utf8")).toContain("key_revoked");
  await redis.stop();
  await ask(`${url}/api/admin/keys`, bearer(secrets.ADMIN_TOKEN));
  await ask(`${url}/api/auth/v2/register`, bearer(secrets.ADMIN_TOKEN), { name: "n", key_type: "basic" });
  await through("/v1/chat/x", bearer(second.api_key));
  await ask(`http://${latchkey.ops}/metrics`);
  await ask(`http://${latchkey.ops}/readyz`);
  await expect.poll(() => latchkey.output()).toContain("Redis does not respond");
  await envoy.stop();
  await latchkey.stop();
  const files = readdirSync(join(latchkey.cwd, "logs")).map((name) =>
    readFileSync(join(latchkey.cwd, "logs", name), "utf8"),
  );
  // Only the collector gets its own header.
  const traces = receiver.raw().replaceAll(`"x-token":"${header}"`, "");
  await Promise.all([upstream.stop(), receiver.stop()]);

  const everything = [...said, latchkey.output(), ...files, traces].join("\n");
  expect(everything.length).toBeGreaterThan(50_000);
  expect(everything).toContain(first.key_id);
  const credentials = [...Object.values(secrets), password, header, ...keys, forged];
  const found = credentials.filter((credential) => credential && everything.includes(credential));
  expect(found).toEqual([]);
  // Also no signature alone, in any encoding.
  for (const token of keys.filter((token) => token.split(".").length === 3))
    expect(everything).not.toContain(token.split(".")[2]);
});
