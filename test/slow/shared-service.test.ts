import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { Dns } from "../support/dns.ts";
import { startDns } from "../support/dns.ts";
import { startEnvoy } from "../support/envoy.ts";
import { newSecret, registerKey } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

/** One instance that stays, one that is stopped, and one that dies. */
const ADDRESSES = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
const POLICY = `
roles: { basic: { scopes: ["chat:read"], ttl: 7d, refresh_window: 1d, self_service: true } }
routes: [{ path: /v1/**, scopes: ["chat:read"] }]
`;

let dns: Dns;
let upstream: Upstream;
let envoy: EnvoyProcess;
let instances: TestedLatchkey[];
let key: string;

/** As pods have it: one port, at several addresses. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "0.0.0.0");
  await once(server, "listening");
  const address = server.address();
  const closed = once(server, "close");
  server.close();
  await closed;
  return typeof address === "object" && address !== null ? address.port : 0;
}

/**
 * The shipped cluster, with a name that our DNS server resolves. Generous timeouts: no request is denied merely
 * because this machine is slow.
 */
function sharedCluster(grpcPort: number): object {
  const cluster = parse(readFileSync(new URL("../../envoy/shared-cluster.yaml", import.meta.url), "utf8"));
  const endpoint = cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address;
  endpoint.port_value = grpcPort;
  cluster.connect_timeout = "10s";
  cluster.health_checks[0].timeout = "10s";
  const resolver = { socket_address: { address: "127.0.0.1", port_value: dns.port, protocol: "UDP" } };
  return {
    ...cluster,
    typed_dns_resolver_config: {
      name: "envoy.network.dns_resolver.cares",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        resolvers: [resolver],
        dns_resolver_options: { no_default_search_domain: true },
      },
    },
  };
}

beforeAll(async () => {
  [dns, upstream] = await Promise.all([startDns(ADDRESSES), startUpstream()]);
  const port = await freePort();
  const JWT_SECRET = newSecret();
  instances = await Promise.all(
    ADDRESSES.map((address, at) =>
      startLatchkey(
        { GRPC_LISTEN: `${address}:${port}`, JWT_SECRET, DRAIN_SECONDS: at === 1 ? "4" : "0" },
        { policy: POLICY },
      ),
    ),
  );
  key = (await registerKey(instances[0]?.http ?? "")).api_key;
  envoy = await startEnvoy({
    authzPort: port,
    upstreamPort: upstream.port,
    edit(bootstrap) {
      bootstrap.setIn(["static_resources", "clusters", 0], bootstrap.createNode(sharedCluster(port)));
    },
  });
});

afterAll(async () => {
  await Promise.all([envoy, upstream, dns, ...instances].map((one) => one.stop()));
});

/** The number of decisions of this instance so far. */
async function decisions({ ops }: TestedLatchkey): Promise<number> {
  const text = await (await fetch(`http://${ops}/metrics`)).text();
  return [...text.matchAll(/^latchkey_decisions_total\{.*\} (\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}

const ask = async () => {
  const headers = { authorization: `Bearer ${key}` };
  const response = await fetch(`http://127.0.0.1:${envoy.port}/v1/chat/x`, { headers });
  await response.arrayBuffer();
  return response.status;
};

describe("a service that Envoys share by STRICT_DNS", () => {
  test("one Envoy with one thread loads every instance", async () => {
    for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 10 }, ask));
    const counts = await Promise.all(instances.map(decisions));
    expect(Math.min(...counts)).toBeGreaterThan(20);
  });

  test("an instance that is stopped costs no request", async () => {
    const statuses = await statusesWhile(async () => {
      expect(await instances[1]?.stop("SIGTERM")).toBe(0);
      dns.answer(["127.0.0.2", "127.0.0.4"]);
      await pause(500);
    });
    expect(statuses).toEqual(new Set([200]));
  });

  test("an instance that dies gets no more requests once some have failed, before its health check fails", async () => {
    await instances[2]?.stop("SIGKILL");
    // The number of failures until then depends on when Envoy's main thread runs.
    for (let inARow = 0; inARow < 50; ) inARow = (await ask()) === 200 ? inARow + 1 : 0;
    const found = await fetch(
      `http://127.0.0.1:${envoy.adminPort}/stats?filter=ejections_enforced_consecutive_5xx`,
    );
    expect(await found.text()).toContain(
      "cluster.latchkey.outlier_detection.ejections_enforced_consecutive_5xx: 1",
    );
  });
});

/** The responses of sequential clients, until the work is done. */
async function statusesWhile(work: () => Promise<void>): Promise<ReadonlySet<number>> {
  const statuses = new Set<number>();
  let over = false;
  const load = (async () => {
    while (!over) statuses.add(await ask());
  })();
  await work();
  over = true;
  await load;
  return statuses;
}
