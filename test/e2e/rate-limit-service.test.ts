import { readFileSync } from "node:fs";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { RateLimitResponse } from "../../scripts/protobuf.ts";
import { RATE_LIMIT_METHOD } from "../../scripts/protobuf.ts";
import { HTTP_MANAGER, startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

/** The blocks of the guide: the policy, the filter, the rate limits of a route. */
const guide = readFileSync(new URL("../../docs/guides/rate-limits.md", import.meta.url), "utf8");
const [policy = "", filter = "", route = ""] = [...guide.matchAll(/^ {3}```yaml\n([\s\S]*?)^ {3}```/gm)].map(
  ([, yaml = ""]) => yaml.replaceAll(/^ {3}/gm, ""),
);
const MONTHLY = 20;
const POLICY = `${policy}        - { key: export, rate_limit: { unit: week, requests_per_unit: 1 } }
    windows: { descriptors: [{ key: account, rate_limit: { unit: month, requests_per_unit: ${MONTHLY} } }] }
routes: [{ path: /**, public: true }]
`;

let redis: TestedRedis;
let upstream: Upstream;
let instances: readonly TestedLatchkey[];
let envoy: EnvoyProcess;

beforeAll(async () => {
  [redis, upstream] = await Promise.all([startRedis(), startUpstream()]);
  const env = {
    JWT_SECRET: newSecret(),
    KEY_HASH_SECRET: newSecret(),
    REDIS_URL: redis.url,
    AUDIT_FILE: "off",
  };
  const start = (GRPC_SERVER: string) => startLatchkey({ ...env, GRPC_SERVER }, { policy: POLICY });
  instances = await Promise.all([start("http2"), start("grpc-js")]);
  envoy = await startEnvoy({
    authzTarget: instances[0]?.grpc ?? "",
    upstreamPort: upstream.port,
    edit(bootstrap) {
      const filters = [...HTTP_MANAGER, "http_filters"];
      bootstrap.setIn([...filters, 2], bootstrap.getIn([...filters, 1]));
      // A busy machine is no outage.
      const patient = filter.replace("timeout: 0.5s", "timeout: 10s");
      bootstrap.setIn([...filters, 1], bootstrap.createNode(parse(patient)));
      const routes = [...HTTP_MANAGER, "route_config", "virtual_hosts", 0, "routes", 0, "route"];
      const actions = [{ request_headers: { header_name: "x-export", descriptor_key: "export" } }];
      const limits = [...parse(route).rate_limits, { actions }];
      bootstrap.setIn([...routes, "rate_limits"], bootstrap.createNode(limits));
    },
  });
});

afterAll(async () => {
  await envoy?.stop();
  await Promise.all((instances ?? []).map((each) => each.stop()));
  await Promise.all([redis?.stop(), upstream?.stop()]);
});

const ask = async (path: string, headers = {}) => {
  const response = await fetch(`http://127.0.0.1:${envoy.port}${path}`, { headers });
  await response.arrayBuffer();
  return response;
};

test("behind Envoy, the guide's limits apply to a path and to each tenant", async () => {
  const logins: number[] = [];
  for (let calls = 0; calls < 7; calls++) logins.push((await ask("/login")).status);
  // A token comes back every 12 s.
  expect(logins.slice(0, 5)).toEqual([200, 200, 200, 200, 200]);
  expect(logins.slice(5)).toContain(429);
  const tenant = await ask("/x", { "x-tenant": "acme" });
  expect([tenant.status, tenant.headers.get("x-ratelimit-limit")]).toEqual([
    200,
    expect.stringMatching(/^10\b/),
  ]);
  expect((await ask("/other")).status).toBe(200);
});

test("behind Envoy, a week is a window of seven days, whose end the headers show", async () => {
  const first = await ask("/x", { "x-export": "a" });
  const [limit, reset] = ["limit", "reset"].map((name) => first.headers.get(`x-ratelimit-${name}`) ?? "");
  expect([first.status, limit]).toEqual([200, '1, 1;w=604800;name="export"']);
  expect(Number(reset)).toBeGreaterThan(0);
  expect(Number(reset)).toBeLessThanOrEqual(604_800);
});

function call(client: Client, domain: string, key: string, hits: number): Promise<RateLimitResponse> {
  const { path, requestSerialize, responseDeserialize } = RATE_LIMIT_METHOD;
  const entries = [{ key, value: "shared" }];
  const request = { domain, hits_addend: hits, descriptors: [{ entries }] };
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) =>
      error === null && response !== undefined ? resolve(response) : reject(error),
    );
  });
}

test("a limit counts the requests of all instances", async () => {
  const clients = instances.map(({ grpc }) => new Client(grpc, credentials.createInsecure()));
  const startedMs = performance.now();
  let admitted = 0;
  for (let rounds = 0; rounds < 15; rounds++)
    for (const client of clients)
      if ((await call(client, "edge", "tenant", 5)).overall_code === 1) admitted += 5;
  const seconds = (performance.now() - startedMs) / 1000;
  for (const client of clients) client.close();
  expect(admitted).toBeGreaterThan(0);
  // The capacity, and what was refilled in the meantime.
  expect(admitted).toBeLessThanOrEqual(100 + 10 * seconds + 1);
});

test("a month admits exactly its limit of parallel requests to all instances", async () => {
  const clients = instances.map(({ grpc }) => new Client(grpc, credentials.createInsecure()));
  const month = new Date().getUTCMonth();
  const calls = clients.flatMap((client) =>
    Array.from({ length: 2 * MONTHLY }, () => call(client, "windows", "account", 1)),
  );
  const admitted = (await Promise.all(calls)).filter(({ overall_code }) => overall_code === 1).length;
  for (const client of clients) client.close();
  // A month that begins in the meantime has a counter of its own.
  const months = new Date().getUTCMonth() === month ? 1 : 2;
  expect([MONTHLY, months * MONTHLY]).toContain(admitted);
});

test("the metric counts descriptors by domain and result", async () => {
  const metrics = await (await fetch(`http://${instances[0]?.ops}/metrics`)).text();
  for (const labels of [
    'domain="edge",result="ok"',
    'domain="edge",result="over_limit"',
    'domain="edge",result="unmatched"',
  ])
    expect(metrics).toMatch(new RegExp(`latchkey_rate_limit_decisions_total\\{${labels}\\} [1-9]`));
});
