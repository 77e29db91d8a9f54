import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { EXAMPLES, EXT_AUTHZ, HTTP_MANAGER, readExample } from "../../scripts/envoy-process.ts";
import { parsePolicy } from "../../src/policy/file.ts";

const folder = new URL("../../envoy/", import.meta.url);
const filter = z.record(z.string(), z.unknown());

/** The intended differences of each example from sidecar.yaml. */
const OWN: Readonly<Record<string, { readonly authz?: object; readonly manager?: object }>> = {
  edge: { authz: { include_peer_certificate: true } },
  shadow: {
    authz: {
      grpc_service: { envoy_grpc: { cluster_name: "latchkey" }, timeout: "0.1s" },
      failure_mode_allow: true,
      failure_mode_allow_header_add: true,
      status_on_error: undefined,
      deny_at_disable: { runtime_key: "latchkey.deny_at_disable", default_value: false },
    },
  },
  "http-service": {
    authz: {
      grpc_service: undefined,
      http_service: expect.objectContaining({ path_prefix: "/envoy" }),
      allowed_headers: expect.anything(),
    },
    // Its metadata has the names of headers.
    manager: { access_log: expect.anything() },
  },
  "grpc-services": {
    manager: {
      stream_idle_timeout: "3600s",
      upgrade_configs: undefined,
      http2_protocol_options: {
        connection_keepalive: { interval: "30s", timeout: "5s" },
        max_concurrent_streams: 100,
        initial_stream_window_size: 65_536,
        initial_connection_window_size: 1_048_576,
      },
    },
  },
};

async function blocksOf(name: (typeof EXAMPLES)[number]) {
  const document = await readExample(name);
  const json = (path: readonly (string | number)[]): unknown => {
    const node = document.getIn(path, true);
    return node && typeof node === "object" && "toJSON" in node && typeof node.toJSON === "function"
      ? node.toJSON()
      : undefined;
  };
  const { route_config: _, http_filters: __, ...manager } = filter.parse(json(HTTP_MANAGER));
  return { authz: filter.parse(json(EXT_AUTHZ)), manager };
}

const sidecar = await blocksOf("sidecar");

test("these tests know every example", () => {
  const files = readdirSync(folder).filter((file) => !file.endsWith(".policy.yaml"));
  // A single cluster, which test/slow/shared-service.test.ts uses.
  const known = [...EXAMPLES.map((name) => `${name}.yaml`), "shared-cluster.yaml"];
  expect(files.sort()).toEqual(known.sort());
});

test("the sidecar has every setting that makes it fail closed", () => {
  expect(sidecar.authz).toMatchObject({
    transport_api_version: "V3",
    failure_mode_allow: false,
    status_on_error: { code: "ServiceUnavailable" },
    deny_at_disable: { default_value: true },
    filter_enabled: { default_value: { numerator: 100, denominator: "HUNDRED" } },
    encode_raw_headers: true,
    validate_mutations: true,
    decoder_header_mutation_rules: { disallow_all: true, disallow_is_error: true },
    enforce_response_header_limits: true,
    max_denied_response_body_bytes: 16_384,
    stat_prefix: "latchkey",
  });
  expect(Object.keys(sidecar.authz)).not.toContain("with_request_body");
  expect(sidecar.manager).toMatchObject({
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: "REJECT_REQUEST",
    use_remote_address: true,
    common_http_protocol_options: { headers_with_underscores_action: "REJECT_REQUEST" },
  });
});

test.each(EXAMPLES)(
  "%s.yaml calls Latchkey as the sidecar does, and handles paths and headers in the same way",
  async (name) => {
    const { authz, manager } = await blocksOf(name);
    expect(authz).toEqual({ ...sidecar.authz, ...OWN[name]?.authz });
    expect(manager).toEqual({ ...sidecar.manager, ...OWN[name]?.manager });
  },
);

test("http-service.yaml also sends the scheme, because the HTTP service has no field for it", async () => {
  const headers = z.object({ patterns: z.array(z.record(z.string(), z.unknown())) });
  const patternsOf = (authz: Record<string, unknown>) => headers.parse(authz["allowed_headers"]).patterns;
  const { authz } = await blocksOf("http-service");
  const more = patternsOf(authz).filter(({ exact }) => exact !== "x-forwarded-proto");
  expect(more).toEqual(patternsOf(sidecar.authz));
  expect(patternsOf(authz)).toContainEqual({ exact: "x-forwarded-proto", ignore_case: true });
});

test("only the shadow example lets a request through without a response", async () => {
  const open: string[] = [];
  for (const name of EXAMPLES)
    if ((await blocksOf(name)).authz["failure_mode_allow"] !== false) open.push(name);
  expect(open).toEqual(["shadow"]);
});

test.each(["edge", "grpc-services", "llm-gateway"])("the policy beside %s.yaml is valid", (name) => {
  const fileName = `${name}.policy.yaml`;
  const text = readFileSync(new URL(fileName, folder), "utf8");
  expect(parsePolicy({ text, fileName })).toMatchObject({ ok: true });
});

test("the edge has all routes of the built-in policy", () => {
  const routes = z.looseObject({ routes: z.array(z.unknown()) });
  const read = (file: URL) => routes.parse(parse(readFileSync(file, "utf8"))).routes;
  const edge = read(new URL("edge.policy.yaml", folder));
  expect(edge.slice(-7)).toEqual(read(new URL("../latchkey.yaml", folder)));
});
