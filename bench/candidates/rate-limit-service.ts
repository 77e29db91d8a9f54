import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { goProgram, isGoProgramBuilt } from "../../scripts/checkers.ts";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { findOnPath } from "../../scripts/tools.ts";
import { removeAtEnd } from "../../test/support/at-end.ts";
import type { TestedRedis } from "../../test/support/redis.ts";
import { freePort } from "../../test/support/redis.ts";
import { pin } from "../processes.ts";
import { CALL_TIMEOUT } from "./envoy.ts";

export const DOMAIN = "bench";
/** One limit for each value that is never reached. Latchkey's policy takes the same list. */
export const DESCRIPTORS = `descriptors:
  - key: family
    rate_limit: { unit: second, requests_per_unit: 100000000 }
`;

/** Whether the Go service has been built, or may and can be built. */
export async function canHaveRateLimitService(build: boolean): Promise<boolean> {
  return (await isGoProgramBuilt("ratelimit")) || (build && (await findOnPath("go")) !== undefined);
}

/** Envoy's rate limit filter with one descriptor. Denies requests if the service does not respond. */
export function rateLimitFilter(action: object): object {
  return {
    name: "envoy.filters.http.ratelimit",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
      domain: DOMAIN,
      failure_mode_deny: true,
      timeout: CALL_TIMEOUT,
      enable_x_ratelimit_headers: "DRAFT_VERSION_03",
      rate_limit_service: {
        transport_api_version: "V3",
        grpc_service: { envoy_grpc: { cluster_name: "limits" } },
      },
      rate_limits: [{ actions: [action] }],
    },
  };
}

/** The cluster of the filter: a service on this port. */
export function limitsCluster(port: number): object {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return {
    name: "limits",
    type: "STATIC",
    connect_timeout: "1s",
    typed_extension_protocol_options: {
      [options]: {
        "@type": `type.googleapis.com/${options}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: { cluster_name: "limits", endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}

/** Starts the Go rate limit service with a Redis. */
export async function startRateLimitService(
  redis: TestedRedis,
  core: number,
): Promise<Child & { readonly port: number }> {
  const root = await mkdtemp(join(tmpdir(), "latchkey-limits-"));
  removeAtEnd(root);
  await mkdir(join(root, "bench/config"), { recursive: true });
  await writeFile(join(root, "bench/config/limits.yaml"), `domain: ${DOMAIN}\n${DESCRIPTORS}`);
  const [port, http, debug] = [await freePort(), await freePort(), await freePort()];
  const child = await startChild(await goProgram("ratelimit"), [], {
    env: {
      PATH: process.env["PATH"],
      GRPC_HOST: "127.0.0.1",
      GRPC_PORT: String(port),
      HOST: "127.0.0.1",
      PORT: String(http),
      DEBUG_HOST: "127.0.0.1",
      DEBUG_PORT: String(debug),
      USE_STATSD: "false",
      LOG_LEVEL: "error",
      REDIS_SOCKET_TYPE: "tcp",
      REDIS_URL: `127.0.0.1:${redis.port}`,
      RUNTIME_ROOT: root,
      RUNTIME_SUBDIRECTORY: "bench",
      RUNTIME_WATCH_ROOT: "false",
    },
  });
  while (!(await isHealthy(`http://127.0.0.1:${http}/healthcheck`))) await pause(50);
  await pin(child.pid, core);
  return { ...child, port };
}

async function isHealthy(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}
