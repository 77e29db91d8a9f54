import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { TestedRedis } from "../../test/support/redis.ts";
import { NAMES } from "../decision.ts";
import { LOAD_CORE } from "../load.ts";
import { SECRET } from "./candidate.ts";
import { startPinnedEnvoy, withFilters } from "./envoy.ts";
import {
  canHaveRateLimitService,
  limitsCluster,
  rateLimitFilter,
  startRateLimitService,
} from "./rate-limit-service.ts";

const TYPE = "type.googleapis.com/envoy.extensions.filters.http";
/** A limit for each family. */
const FAMILY = {
  descriptor_key: "family",
  metadata_key: { key: "envoy.filters.http.jwt_authn", path: [{ key: "claims" }, { key: "fam" }] },
};

/**
 * Starts Envoy's own way: its JWT and RBAC filters, and the Go rate limit service with a Redis. Undefined if the service has
 * not been built and may not or cannot be built.
 */
export async function startEnvoysOwn(redis: TestedRedis, upstream: EnvoyProcess, build: boolean) {
  if (!(await canHaveRateLimitService(build))) return undefined;
  const limits = await startRateLimitService(redis, LOAD_CORE);
  const envoy = await startPinnedEnvoy(
    upstream,
    withFilters([jwt(), rbac(), rateLimitFilter({ metadata: FAMILY })], [limitsCluster(limits.port)]),
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
