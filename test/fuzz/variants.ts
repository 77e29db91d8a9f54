const EXTENSIONS = "type.googleapis.com/envoy.extensions";
const TRACE = "type.googleapis.com/envoy.config.trace.v3";

/**
 * A collector that no tracer reaches: the test looks at what a tracer copies into the Check, not at its spans.
 */
const COLLECTOR = "no-collector";
const collectorByGrpc = { envoy_grpc: { cluster_name: COLLECTOR }, timeout: "1s" };
const collectorByHttp = { uri: "http://127.0.0.1:1/spans", cluster: COLLECTOR, timeout: "1s" };

const openTelemetry = (sampler?: object) => ({
  name: "envoy.tracers.opentelemetry",
  typed_config: {
    "@type": `${TRACE}.OpenTelemetryConfig`,
    service_name: "edge",
    grpc_service: collectorByGrpc,
    ...(sampler && { sampler }),
  },
});

const dynatrace = {
  name: "envoy.tracers.opentelemetry.samplers.dynatrace",
  typed_config: {
    "@type": `${EXTENSIONS}.tracers.opentelemetry.samplers.v3.DynatraceSamplerConfig`,
    tenant: "tenant",
    cluster_id: 1,
    http_service: { http_uri: collectorByHttp },
  },
};

const zipkin = {
  name: "envoy.tracers.zipkin",
  typed_config: {
    "@type": `${TRACE}.ZipkinConfig`,
    collector_cluster: COLLECTOR,
    collector_endpoint: "/spans",
    collector_endpoint_version: "HTTP_JSON",
    trace_id_128bit: true,
    trace_context_option: "USE_B3_WITH_W3C_PROPAGATION",
  },
};

const datadog = {
  name: "envoy.tracers.datadog",
  typed_config: { "@type": `${TRACE}.DatadogConfig`, collector_cluster: COLLECTOR, service_name: "edge" },
};

const skyWalking = {
  name: "envoy.tracers.skywalking",
  typed_config: {
    "@type": `${TRACE}.SkyWalkingConfig`,
    grpc_service: collectorByGrpc,
    client_config: { service_name: "edge", instance_name: "edge-1" },
  },
};

/** One listener: what Envoy accepts, and what of it reaches the Check. */
export interface Variant {
  readonly name: string;
  /** Copies the client's trace headers into the metadata of the Check. */
  readonly tracer?: object;
  readonly rawHeaders: boolean;
  readonly body?: "bytes" | "text" | "whole";
  /** The maximum size of one request's headers, in KiB; Envoy's own maximum is 8192. */
  readonly headersKb: number;
  /** The maximum number of header fields. */
  readonly headersCount: number;
  readonly normalises: boolean;
}

const DEFAULT_LIMITS = { headersKb: 60, headersCount: 100 };

/**
 * Every tracer that both versions of Envoy can load (except `dynamic_modules`, which runs an operator's own
 * code), and every way in which ext_authz sends headers and bodies.
 */
export const VARIANTS: readonly Variant[] = [
  { name: "otel", tracer: openTelemetry(), rawHeaders: true, normalises: true, ...DEFAULT_LIMITS },
  {
    name: "otel-96k",
    tracer: openTelemetry(),
    rawHeaders: false,
    body: "bytes",
    headersKb: 96,
    headersCount: 2000,
    normalises: false,
  },
  {
    name: "otel-1m",
    tracer: openTelemetry(),
    rawHeaders: true,
    headersKb: 1024,
    headersCount: 10_000,
    normalises: false,
  },
  {
    name: "dynatrace",
    tracer: openTelemetry(dynatrace),
    rawHeaders: false,
    body: "text",
    normalises: true,
    ...DEFAULT_LIMITS,
  },
  { name: "zipkin", tracer: zipkin, rawHeaders: true, body: "text", normalises: false, ...DEFAULT_LIMITS },
  {
    name: "datadog",
    tracer: datadog,
    rawHeaders: false,
    body: "whole",
    headersKb: 96,
    headersCount: 100,
    normalises: true,
  },
  {
    name: "skywalking",
    tracer: skyWalking,
    rawHeaders: true,
    body: "bytes",
    normalises: true,
    ...DEFAULT_LIMITS,
  },
  {
    name: "plain-8m",
    rawHeaders: true,
    body: "whole",
    headersKb: 8192,
    headersCount: 20_000,
    normalises: false,
  },
];

export const MAX_BODY_BYTES = 8192;
const BODIES = {
  bytes: { max_request_bytes: MAX_BODY_BYTES, allow_partial_message: true, pack_as_bytes: true },
  text: { max_request_bytes: MAX_BODY_BYTES, allow_partial_message: true, pack_as_bytes: false },
  whole: { max_request_bytes: MAX_BODY_BYTES, allow_partial_message: false, pack_as_bytes: false },
} as const;

/**
 * Request headers that every listener copies into the Check's metadata by `%REQ()%`, as an operator may
 * configure it.
 */
export const COPIED_HEADERS = ["x-tenant", "x-session", "x-blob", "user-agent", "authorization"] as const;

/**
 * The bootstrap of an Envoy with one listener for each variant, and one Latchkey cluster for each listener.
 */
export function fuzzedBootstrap(authz: string, upstreamPort: number): object {
  const colon = authz.lastIndexOf(":");
  const clusters = VARIANTS.map(({ name }) => ({
    ...cluster(authzCluster(name), authz.slice(0, colon), Number(authz.slice(colon + 1))),
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  }));
  return {
    admin: { address: address("127.0.0.1", 0) },
    static_resources: {
      listeners: VARIANTS.map(listener),
      clusters: [
        ...clusters,
        cluster("upstream", "127.0.0.1", upstreamPort),
        cluster(COLLECTOR, "127.0.0.1", 1),
      ],
    },
  };
}

export function authzCluster(variant: string): string {
  return `latchkey-${variant}`;
}

function address(host: string, port: number): object {
  return { socket_address: { address: host, port_value: port } };
}

function cluster(name: string, host: string, port: number): object {
  const endpoint = { endpoint: { address: address(host, port) } };
  return {
    name,
    type: "STATIC",
    connect_timeout: "5s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
  };
}

function listener(variant: Variant): object {
  const { name } = variant;
  const manager = {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: httpManager(variant),
  };
  return { name, address: address("127.0.0.1", 0), filter_chains: [{ filters: [manager] }] };
}

/** Everything that Envoy can enable: HTTP/1.0, upgrades, CONNECT, trailers. */
function httpManager(variant: Variant): object {
  const { name, tracer, headersKb, headersCount, normalises } = variant;
  return {
    "@type": `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    use_remote_address: true,
    ...(normalises && { normalize_path: true, merge_slashes: true }),
    max_request_headers_kb: headersKb,
    common_http_protocol_options: { max_headers_count: headersCount },
    http_protocol_options: { accept_http_10: true, default_host_for_http_10: "old", enable_trailers: true },
    http2_protocol_options: { allow_connect: true },
    upgrade_configs: [{ upgrade_type: "websocket" }, { upgrade_type: "CONNECT" }],
    stream_idle_timeout: "10s",
    delayed_close_timeout: "0.05s",
    ...(tracer && { tracing: { provider: tracer, random_sampling: { value: 100 } } }),
    http_filters: [extAuthz(variant), router()],
    route_config: {
      virtual_hosts: [
        {
          name: "upstream",
          domains: ["*"],
          routes: ["connect_matcher", "prefix"].map((match) => ({
            match: match === "prefix" ? { prefix: "/" } : { connect_matcher: {} },
            route: { cluster: "upstream", timeout: "0s" },
          })),
        },
      ],
    },
  };
}

function extAuthz({ name, rawHeaders, body }: Variant): object {
  return {
    name: "envoy.filters.http.ext_authz",
    typed_config: {
      "@type": `${EXTENSIONS}.filters.http.ext_authz.v3.ExtAuthz`,
      stat_prefix: "latchkey",
      transport_api_version: "V3",
      grpc_service: {
        envoy_grpc: { cluster_name: authzCluster(name) },
        // A busy machine is no fault; a client that blocks the others for this long is.
        timeout: "8s",
        initial_metadata: COPIED_HEADERS.map((name) => ({ key: `copied-${name}`, value: `%REQ(${name})%` })),
      },
      failure_mode_allow: true,
      encode_raw_headers: rawHeaders,
      ...(body && { with_request_body: BODIES[body] }),
      validate_mutations: true,
    },
  };
}

function router(): object {
  return {
    name: "envoy.filters.http.router",
    typed_config: { "@type": `${EXTENSIONS}.filters.http.router.v3.Router` },
  };
}
