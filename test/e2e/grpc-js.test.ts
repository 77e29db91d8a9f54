import { afterAll, beforeAll, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { startEnvoy } from "../support/envoy.ts";
import { registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

let upstream: Upstream;
let latchkey: TestedLatchkey;
let envoy: EnvoyProcess;

beforeAll(async () => {
  [upstream, latchkey] = await Promise.all([
    startUpstream(),
    startLatchkey({ GRPC_SERVER: "grpc-js", GRPC_LISTEN: await newSocket() }),
  ]);
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
});

const ask = (authorization?: string) =>
  fetch(`http://127.0.0.1:${envoy.port}/v1/chat/x`, { headers: authorization ? { authorization } : {} });

test("with GRPC_SERVER=grpc-js Envoy gets the same decisions over the same socket", async () => {
  const { api_key, key_id } = await registerKey(latchkey.http);
  expect((await ask()).status).toBe(401);
  expect((await ask("Bearer a.b.c")).status).toBe(401);
  const allowed = await ask(`Bearer ${api_key}`);
  expect(allowed.status).toBe(200);
  expect(allowed.headers.get("ratelimit")).toContain('"per-key"');
  const seen = new Map(upstream.requests.at(-1)?.headers ?? []);
  expect(seen.get("x-latchkey-key-id")).toBe(key_id);
  expect(seen.has("authorization")).toBe(false);
});

test("no request gets through without Latchkey", async () => {
  await latchkey.stop();
  expect((await ask()).status).toBe(503);
});
