import { afterAll, beforeAll, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { checkMethod } from "../../src/ext-authz/method.ts";
import { startEnvoy } from "../support/envoy.ts";
import { startShadowed } from "../support/grpc-shadow.ts";
import { checkOf, connectFrames, OPENING } from "../support/http2-frames.ts";
import { registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const CAPACITY = 100;
const POLICY = `
roles:
  basic:
    scopes: [a]
    ttl: 1d
    refresh_window: 1h
    self_service: true
    rate_limits: [{ name: per-key, per: key, capacity: ${CAPACITY}, refill: 1/d }]
  other: { scopes: [b], ttl: 1d, refresh_window: 1h }
routes:
  - { path: /a/**, scopes: [a] }
  - { path: /b/**, scopes: [b] }
  - { path: /public/**, public: true }
  - { path: /tried/**, scopes: [a], mode: shadow }
`;

let upstream: Upstream;
let latchkey: TestedLatchkey;
let envoy: EnvoyProcess;

beforeAll(async () => {
  [upstream, latchkey] = await Promise.all([
    startUpstream(),
    startLatchkey({ GRPC_SERVER: "shadow" }, { policy: POLICY }),
  ]);
  envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
});

afterAll(async () => {
  await Promise.all([envoy?.stop(), latchkey?.stop(), upstream?.stop()]);
});

async function ask(path: string, init: RequestInit = {}) {
  const response = await fetch(`http://127.0.0.1:${envoy.port}${path}`, init);
  await response.arrayBuffer();
  return response;
}

const authorization = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

/** The results of all comparisons so far, and the number of decisions. */
async function results() {
  const metrics = await readMetrics(latchkey.ops);
  const sum = (name: string) =>
    [...metrics].reduce((total, [series, value]) => total + (series.startsWith(name) ? value : 0), 0);
  const of = (result: string) => sum(`latchkey_grpc_shadow_comparisons_total{result="${result}"}`);
  return {
    decisions: sum("latchkey_decisions_total{"),
    differing: of("request_differs") + of("response_differs"),
    failed: of("failed"),
    equal: of("equal"),
    skipped: of("skipped"),
  };
}

test("behind Envoy, mixed traffic is equal on both servers, and each request is decided and charged once", async () => {
  const { api_key } = await registerKey(latchkey.http);
  const remaining: number[] = [];
  for (let round = 0; round < CAPACITY; round++) {
    const { status, headers } = await ask(`/a/${round}`, authorization(api_key));
    expect(status).toBe(200);
    remaining.push(Number(/r=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1]));
  }
  expect(remaining).toEqual(Array.from({ length: CAPACITY }, (_, at) => CAPACITY - 1 - at));
  expect((await ask("/a/above", authorization(api_key))).status).toBe(429);
  const requests: [string, RequestInit?][] = [
    ["/a/x"],
    ["/b/x", authorization(api_key)],
    ["/a/x", authorization(`${api_key}x`)],
    ["/a/x", authorization("a.b.c")],
    ["/nowhere"],
    ["/public/x?api_key=1&b=%zz"],
    ["/a/%2e%2e/x", authorization(api_key)],
    ["/tried/x"],
    ["/tried/x", authorization(api_key)],
    ["/public/x", { headers: { "x-latchkey-role": "admin", cookie: "a=b; c=d" } }],
    ["/public/x", { headers: { "x-long": "y".repeat(30_000), "x-latin": "\u00e9\u00ff" } }],
    ["/a/x", { method: "POST", body: "x".repeat(100_000), ...authorization(api_key) }],
    ["/a/x", { headers: { "content-type": "application/grpc" } }],
  ];
  for (let round = 0; round < 20; round++) await Promise.all(requests.map(([path, init]) => ask(path, init)));
  await expect
    .poll(async () => (await results()).equal, { interval: 200 })
    .toBe(CAPACITY + 1 + 20 * requests.length);
  expect(await results()).toMatchObject({
    decisions: CAPACITY + 1 + 20 * requests.length,
    ...{ differing: 0, failed: 0, skipped: 0 },
  });
});

test("clients that disconnect at any moment cause no difference, and each decision is compared or skipped", async () => {
  const aborted = Array.from({ length: 400 }, async (_, at) => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), at % 40);
    await ask(`/a/${at}`, { signal: abort.signal }).catch(() => undefined);
  });
  await Promise.all(aborted);
  expect((await ask("/public/last")).status).toBe(200);
  const isComplete = async () => {
    const { decisions, equal, skipped, differing } = await results();
    return equal + skipped + differing === decisions;
  };
  // A call that only our server has read is judged after 30 s.
  await expect.poll(isComplete, { timeout: 120_000, interval: 500 }).toBe(true);
  expect(await results()).toMatchObject({ differing: 0, failed: 0 });
});

/** `status.code` 7. */
const DENIAL = Buffer.from([0x0a, 0x02, 0x08, 0x07]);

test("10,000 calls that wait for their decision at the same time are compared", async () => {
  const waiting: (() => void)[] = [];
  const { promise: all, resolve } = Promise.withResolvers<void>();
  const server = await startShadowed(async (shadow) => [
    shadow.observe(
      checkMethod(() => {
        const { promise, resolve: answer } = Promise.withResolvers<Buffer>();
        if (waiting.push(() => answer(DENIAL)) === 10_000) resolve();
        return promise;
      }),
    ),
  ]);
  const calls = Array.from({ length: 1000 }, (_, at) => checkOf(2 * at + 1, `not a CheckRequest ${at}`));
  const connections = await Promise.all(Array.from({ length: 10 }, () => connectFrames(server.address)));
  for (const { send } of connections) await send(OPENING, ...calls);
  await all;
  for (const answer of waiting) answer();
  await server.counted("equal", 10_000);
  expect(server.counts).toMatchObject({ request_differs: 0, response_differs: 0, skipped: 0, failed: 0 });
  for (const { socket } of connections) socket.destroy();
  await server.stop();
});
