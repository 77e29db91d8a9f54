import { afterAll, beforeAll, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { EXT_AUTHZ, startEnvoy } from "../support/envoy.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { sendRaw } from "../support/raw-request.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

/** One route enforces; everything else is in shadow mode. */
const POLICY = `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, self_service: true, rate_limits: [{ name: n, per: key, capacity: 9, refill: 1/s }] }
defaults: { mode: shadow }
routes:
  - { path: /strict/**, methods: [GET], scopes: [a], mode: enforce }
  - { path: /trial/**, scopes: [a] }
  - { path: /hosted/**, public: true }
  - { path: /hosted/**, hosts: [admin.example.com, "*.inner.example.com"], scopes: [a], mode: enforce }
`;

let redis: TestedRedis;
let upstream: Upstream;
let latchkey: TestedLatchkey;
let envoy: EnvoyProcess;

beforeAll(async () => {
  [redis, upstream] = await Promise.all([startRedis(), startUpstream()]);
  // Redis may take longer than Envoy's timeout, so that the Check is late.
  const env = { JWT_SECRET: newSecret(), REDIS_URL: redis.url, REDIS_COMMAND_TIMEOUT_MS: "60000" };
  latchkey = await startLatchkey(env, { policy: POLICY });
  envoy = await startEnvoy({
    authzTarget: latchkey.grpc,
    upstreamPort: upstream.port,
    normalise: false,
    edit: (bootstrap) => bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "timeout"], "2s"),
  });
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), latchkey?.stop()]);
  await Promise.all([redis?.stop(), upstream?.stop()]);
});

test("no spelling of an enforced path reaches the upstream without a key, although the default is shadow mode", async () => {
  expect((await sendRaw(envoy.port, { path: "/trial/x" })).status).toBe(200);
  const before = upstream.requests.length;
  const paths = ["//strict/x", "/strict//x", "/%2fstrict/x", "/strict%2fx", "/strict/x;y", "/strict/%2e/x"];
  for (const path of [
    ...paths,
    "/trial/../strict/x",
    "/trial/%2e%2e/strict/x",
    "/strict/%78",
    "/elsewhere",
  ]) {
    const { status, headers } = await sendRaw(envoy.port, { path });
    expect([path, status]).toEqual([path, expect.toBeOneOf([400, 401])]);
    expect(headers["x-latchkey-reason"]).toBeDefined();
  }
  const post = await sendRaw(envoy.port, { path: "/strict/x", method: "POST" });
  expect(post.status).toBe(401);
  expect(upstream.requests.length).toBe(before);
});

test("no spelling of a host moves its requests to a route for other hosts", async () => {
  const get = (host: string) => sendRaw(envoy.port, { path: "/hosted/x", headers: { host } });
  for (const host of ["other.example.com", "other.example.com:8080", "192.0.2.1:80", "[2001:db8::1]:80"])
    expect([host, (await get(host)).status]).toEqual([host, 200]);
  const before = upstream.requests.length;
  const names = ["admin.example.com", "ADMIN.example.com", "admin.example.com.", "a.inner.example.com"];
  for (const host of names.flatMap((name) => [name, `${name}:80`]))
    expect([host, (await get(host)).status]).toEqual([host, 401]);
  for (const port of [":80:80", ":80.", "..", ":80x", ":-80", ":+80", "::", "@other", ",other", ";", "%2e"])
    for (const host of [`admin.example.com${port}`, `a.inner.example.com${port}`]) {
      const { status, headers } = await get(host);
      expect([host, status, headers["x-latchkey-reason"]]).toEqual([host, 400, "request_malformed"]);
    }
  for (const host of [
    "user@admin.example.com",
    "[admin.example.com]",
    "admin%2eexample.com",
    "other,admin.example.com",
  ])
    expect([host, (await get(host)).status]).toEqual([host, 400]);
  expect(upstream.requests.length).toBe(before);
});

test("while Redis is paused, the enforced route denies in time, and routes in shadow mode let requests through", async () => {
  const { api_key } = await registerKey(latchkey.http);
  const authorization = `Bearer ${api_key}`;
  process.kill(redis.pid, "SIGSTOP");
  try {
    const strict = await sendRaw(envoy.port, { path: "/strict/x", headers: { authorization } });
    expect([strict.status, strict.headers["x-latchkey-reason"]]).toEqual([503, "internal"]);
    const trial = await sendRaw(envoy.port, { path: "/trial/x", headers: { authorization } });
    expect(trial.status).toBe(200);
  } finally {
    process.kill(redis.pid, "SIGCONT");
  }
});
