import type { ClientHttp2Session } from "node:http2";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Document } from "yaml";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { decodeCheckResponse } from "../../scripts/protobuf.ts";
import { check } from "../support/checks.ts";
import { EXT_AUTHZ, HTTP_MANAGER, startEnvoy } from "../support/envoy.ts";
import { call, connectRaw, frame } from "../support/grpc-client.ts";
import type { IssuedKey } from "../support/keys.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import { sendRaw } from "../support/raw-request.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const POLICY = `
roles:
  basic: { scopes: [a:read], ttl: 1d, refresh_window: 1h, self_service: true }
routes:
  - { path: /a/**, scopes: [a:read] }
`;
const HONEST_CLIENTS = 8;
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/**
 * Names with a meaning in gRPC, and unknown ones: an Envoy may be configured to copy each from a client's
 * header.
 */
const COPIED = [
  "x-copied",
  "content-type",
  "content-length",
  "grpc-timeout",
  "grpc-encoding",
  "te",
  "upgrade",
];

let latchkey: TestedLatchkey;
let upstream: Upstream;
let key: IssuedKey;

beforeAll(async () => {
  [latchkey, upstream] = await Promise.all([
    startLatchkey({ JWT_SECRET: newSecret() }, { policy: POLICY }),
    startUpstream(),
  ]);
  key = await registerKey(latchkey.http);
});
afterAll(() => Promise.all([latchkey?.stop(), upstream?.stop()]));

/** An Envoy that fails open, with the tracer that copies `tracestate` into its Checks. */
function startOpenEnvoy(edit: (bootstrap: Document) => void): Promise<EnvoyProcess> {
  return startEnvoy({
    authzTarget: latchkey.grpc,
    upstreamPort: upstream.port,
    edit(bootstrap) {
      bootstrap.setIn([...EXT_AUTHZ, "failure_mode_allow"], true);
      const provider = {
        name: "envoy.tracers.opentelemetry",
        typed_config: {
          "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
          grpc_service: { envoy_grpc: { cluster_name: "upstream" }, timeout: "0.25s" },
          service_name: "envoy",
        },
      };
      bootstrap.setIn([...HTTP_MANAGER, "tracing"], bootstrap.createNode({ provider }));
      edit(bootstrap);
    },
  });
}

/** The counters that must not change: failed Checks, fail-open requests, our resets, and new connections. */
async function harmOf({ adminPort }: EnvoyProcess): Promise<Readonly<Record<string, number>>> {
  const names = ["error", "failure_mode_allowed"].map((name) => `http.ingress.ext_authz.latchkey.${name}`);
  const all = [...names, "cluster.latchkey.upstream_rq_rx_reset", "cluster.latchkey.upstream_cx_total"];
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/stats`)).text();
  const stats = new Map(text.split("\n").map((line): [string, string] => [line.split(": ")[0] ?? "", line]));
  return Object.fromEntries(all.map((name) => [name, Number(stats.get(name)?.split(": ")[1])]));
}

/** The status of a request over HTTP/2, where Envoy trims no value. */
function statusOf(session: ClientHttp2Session, headers: Readonly<Record<string, string>>): Promise<number> {
  const stream = session.request({ ":path": "/a/without-a-key", ...headers });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  stream.on("error", reject).on("response", (response) => resolve(Number(response[":status"])));
  stream.resume();
  return promise;
}

/** Runs `act` while honest clients send requests with a key. Returns the statuses that these clients got. */
async function besideHonestClients(envoy: EnvoyProcess, act: () => Promise<void>): Promise<Set<number>> {
  const statuses = new Set<number>();
  let going = true;
  const clients = Array.from({ length: HONEST_CLIENTS }, async () => {
    while (going) {
      statuses.add((await check(envoy, "/a/with-a-key", key.api_key)).status);
      await pause(1);
    }
  });
  try {
    await act();
  } finally {
    going = false;
    await Promise.all(clients);
  }
  return statuses;
}

/** Requests that reached the upstream without a key. */
const keyless = () => upstream.requests.filter(({ url }) => url === "/a/without-a-key").length;

describe("gRPC metadata that a client controls", () => {
  let envoy: EnvoyProcess;
  let session: ClientHttp2Session;

  beforeAll(async () => {
    const copies = COPIED.map((name) => ({ key: name, value: `%REQ(x-copy-${name})%` }));
    envoy = await startOpenEnvoy((bootstrap) => {
      bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "initial_metadata"], bootstrap.createNode(copies));
    });
    session = await connectRaw(`127.0.0.1:${envoy.port}`);
    expect((await check(envoy, "/a/with-a-key", key.api_key)).status).toBe(200);
  });
  afterAll(async () => {
    session?.destroy();
    await envoy?.stop();
  });

  const traced = (tracestate: string) => ({ traceparent: TRACEPARENT, tracestate });
  const copied = (value: string) =>
    COPIED.map((name): [string, Record<string, string>] => [
      `${JSON.stringify(value.slice(0, 20))} in ${name}`,
      { [`x-copy-${name}`]: value },
    ]);

  test.each<[string, Record<string, string>]>([
    ["a tracestate that ends in a blank", traced("a=b ")],
    ["a tracestate that ends in a tab", traced("a=b\t")],
    ["a tracestate that begins with a blank", traced(" a=b")],
    ["a tracestate beyond ASCII", traced("a=\u00ff\u0080")],
    ["a tracestate of 17 KB", traced(`a=${"x".repeat(17_000)}`)],
    ["a tracestate of 40 KB", traced(`a=${"x".repeat(40_000)}`)],
    ["a tracestate of 59 KB", traced(`a=${"x".repeat(59_000)}`)],
    ...["", "1", "5 ", "text/html", "gzip", "x".repeat(50_000)].flatMap(copied),
  ])(
    "metadata lets nothing through without a key and affects no other client: %s",
    async (_what, headers) => {
      const before = [keyless(), await harmOf(envoy)];
      const honest = await besideHonestClients(envoy, async () => {
        for (let times = 0; times < 5; times++)
          expect(await statusOf(session, headers)).toBeOneOf([400, 401]);
      });
      expect(honest).toEqual(new Set([200]));
      expect([keyless(), await harmOf(envoy)]).toEqual(before);
    },
  );
});

test("headers of 8 MiB, the maximum that Envoy can be configured to accept, are denied like any others", async () => {
  const envoy = await startOpenEnvoy((bootstrap) => {
    bootstrap.setIn([...HTTP_MANAGER, "max_request_headers_kb"], 8192);
    // 24 MiB of metadata, of the 32 MiB that Envoy itself sends at most.
    const copies = ["x-1", "x-2", "x-3"].map((name) => ({ key: name, value: "%REQ(x-copy)%" }));
    bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "initial_metadata"], bootstrap.createNode(copies));
  });
  try {
    expect((await check(envoy, "/a/with-a-key", key.api_key)).status).toBe(200);
    const before = [keyless(), await harmOf(envoy)];
    const large = (bytes: number) => "x".repeat(bytes);
    const send = (headers: Readonly<Record<string, string>>) =>
      sendRaw(envoy.port, { path: "/a/without-a-key", headers });
    const honest = await besideHonestClients(envoy, async () => {
      for (const headers of [
        { traceparent: TRACEPARENT, tracestate: large(300_000) },
        { traceparent: TRACEPARENT, tracestate: large(8_300_000) },
        { "x-copy": large(8_300_000) },
      ])
        expect((await send(headers)).status).toBe(400);
    });
    expect(honest).toEqual(new Set([200]));
    expect([keyless(), await harmOf(envoy)]).toEqual(before);
  } finally {
    await envoy.stop();
  }
});

test("undecodable CheckRequests are denied as malformed, with one warning and without a fault of ours", async () => {
  const session = await connectRaw(latchkey.grpc);
  const failures = async () => {
    const metrics = await readMetrics(latchkey.ops);
    const denied = [...metrics].filter(([name]) => name.startsWith("latchkey_decisions_total{"));
    const sumOf = (reason: string) =>
      denied.filter(([name]) => name.includes(`"${reason}"`)).reduce((sum, [, value]) => sum + value, 0);
    return { malformed: sumOf("request_malformed"), internal: sumOf("internal") };
  };
  const before = await failures();
  for (let times = 0; times < 20; times++) {
    const { trailers, body } = await call(session, frame(Uint8Array.of(0xff, 0xff, 0xff)));
    expect(trailers).toMatchObject({ "grpc-status": "0" });
    expect(decodeCheckResponse(body.subarray(5))).toMatchObject({
      status: { code: 3 },
      denied_response: { status: { code: 400 } },
    });
  }
  // /metrics may lag behind for a moment.
  const malformed = async () => (await failures()).malformed;
  await expect.poll(malformed).toBeGreaterThanOrEqual(before.malformed + 20);
  expect((await failures()).internal).toBe(before.internal);
  const logged = latchkey.output();
  expect(logged.match(/"level":"(error|fatal)"/g)).toBeNull();
  expect(logged.match(/CheckRequest cannot be decoded/g)).toHaveLength(1);
  session.destroy();
});
