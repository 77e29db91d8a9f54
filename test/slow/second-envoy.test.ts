import { afterAll, beforeAll, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

let latchkey: TestedLatchkey;
let upstream: Upstream;
let envoy: EnvoyProcess;

beforeAll(async () => {
  [latchkey, upstream] = await Promise.all([startLatchkey({ JWT_SECRET: newSecret() }), startUpstream()]);
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port, version: "1.39.3" });
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
});

test("Envoy 1.39.3 gets the same answers", async () => {
  const { api_key, key_id } = await registerKey(latchkey.http);
  const ask = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${envoy.port}${path}`, { headers });
  const good = { authorization: `Bearer ${api_key}`, "x-latchkey-role": "admin" };
  const allowed = await ask("/v1/chat/x", good);
  expect([allowed.status, allowed.headers.get("ratelimit-policy")]).toEqual([
    200,
    '"per-key";q=60;w=60, "per-address";q=300;w=60',
  ]);
  const headers = new Map(upstream.requests.at(-1)?.headers);
  expect([
    headers.get("x-latchkey-key-id"),
    headers.get("x-latchkey-role"),
    headers.get("authorization"),
  ]).toEqual([key_id, "basic", undefined]);
  expect((await ask("/v1/chat/x")).status).toBe(401);
  expect((await ask("/v1/models/x", good)).status).toBe(403);
  expect((await ask("/v1/chat/%252e", good)).status).toBe(400);
  expect((await ask("/healthz")).status).toBe(200);
});
