import { once } from "node:events";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { goProgram, isGoProgramBuilt } from "../../scripts/checkers.ts";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { findOnPath } from "../../scripts/tools.ts";
import { removeAtEnd } from "../../test/support/at-end.ts";
import type { TestedRedis } from "../../test/support/redis.ts";
import { NAMES } from "../decision.ts";
import { LOAD_CORE } from "../load.ts";
import { pin } from "../processes.ts";
import { SECRET } from "./candidate.ts";
import { startPinnedEnvoy, withFilters } from "./envoy.ts";

const TYPE = "type.googleapis.com/envoy.extensions.filters.http";
const LIMITS = `domain: bench
descriptors:
  - key: family
    rate_limit: { unit: second, requests_per_unit: 100000000 }
`;

/**
 * Starts Envoy's own way: its JWT and RBAC filters, and the Go rate limit service with a Redis. Undefined if the service has
 * not been built and may not or cannot be built.
 */
export async function startEnvoysOwn(redis: TestedRedis, upstream: EnvoyProcess, build: boolean) {
  if (!(await isGoProgramBuilt("ratelimit")) && !(build && (await findOnPath("go")))) return undefined;
  const limits = await startRateLimitService(redis);
  const envoy = await startPinnedEnvoy(
    upstream,
    withFilters([jwt(), rbac(), rateLimit()], [cluster(limits.port)]),
  );
  return {
    envoy,
    limits,
    async stop() {
      await envoy.stop();
      await limits.stop();
    },
  };
}

function jwt(): object {
  const key = { kty: "oct", alg: "HS256", k: Buffer.from(SECRET).toString("base64url") };
  const latchkey = {
    issuer: NAMES.issuer,
    audiences: [NAMES.audience],
    local_jwks: { inline_string: JSON.stringify({ keys: [key] }) },
    payload_in_metadata: "claims",
    jwt_cache_config: { jwt_cache_size: 100_000 },
    normalize_payload_in_metadata: { space_delimited_claims: ["scope"] },
  };
  const rules = [{ match: { prefix: "/" }, requires: { provider_name: "latchkey" } }];
  return {
    name: "envoy.filters.http.jwt_authn",
    typed_config: { "@type": `${TYPE}.jwt_authn.v3.JwtAuthentication`, providers: { latchkey }, rules },
  };
}

/** `chat:read` for GET below /v1/chat/. */
function rbac(): object {
  const path = [{ key: "claims" }, { key: "scope" }];
  const scope = { list_match: { one_of: { string_match: { exact: "chat:read" } } } };
  const metadata = { filter: "envoy.filters.http.jwt_authn", path, value: scope };
  const permission = {
    and_rules: {
      rules: [
        { header: { name: ":method", string_match: { exact: "GET" } } },
        { url_path: { path: { prefix: "/v1/chat/" } } },
      ],
    },
  };
  const policies = { chat: { permissions: [permission], principals: [{ metadata }] } };
  return {
    name: "envoy.filters.http.rbac",
    typed_config: { "@type": `${TYPE}.rbac.v3.RBAC`, rules: { action: "ALLOW", policies } },
  };
}

/** A limit for each family. Denies requests if the service does not respond. */
function rateLimit(): object {
  const metadata_key = { key: "envoy.filters.http.jwt_authn", path: [{ key: "claims" }, { key: "fam" }] };
  return {
    name: "envoy.filters.http.ratelimit",
    typed_config: {
      "@type": `${TYPE}.ratelimit.v3.RateLimit`,
      domain: "bench",
      failure_mode_deny: true,
      timeout: "0.5s",
      enable_x_ratelimit_headers: "DRAFT_VERSION_03",
      rate_limit_service: {
        transport_api_version: "V3",
        grpc_service: { envoy_grpc: { cluster_name: "limits" } },
      },
      rate_limits: [{ actions: [{ metadata: { descriptor_key: "family", metadata_key } }] }],
    },
  };
}

function cluster(port: number): object {
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

async function startRateLimitService(redis: TestedRedis): Promise<Child & { readonly port: number }> {
  const root = await mkdtemp(join(tmpdir(), "latchkey-limits-"));
  removeAtEnd(root);
  await mkdir(join(root, "bench/config"), { recursive: true });
  await writeFile(join(root, "bench/config/limits.yaml"), LIMITS);
  const [port = 0, http, debug] = await freePorts(3);
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
  await pin(child.pid, LOAD_CORE);
  return { ...child, port };
}

async function isHealthy(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  return servers.map((server) => {
    const address = server.address();
    server.close();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
}
