import { z } from "zod";
import {
  count,
  countFrom1,
  duration,
  flag,
  headerBytes,
  headers,
  hostOrList,
  hostPorts,
  httpUrl,
  issuerUrl,
  listen,
  listeners,
  longRetention,
  natMap,
  oidcScope,
  origins,
  path,
  redirectUrl,
  redisUrl,
  retention,
  secret,
  secrets,
  share,
  size,
  tcp,
  ttl,
  word,
  workers,
} from "./parsers.ts";
import { SENTINEL_PORT } from "./redis-url.ts";

/** One setting. A setting without a default is optional. */
interface Setting {
  /** Sentences for docs/reference/settings.md, with the form and the range of the value. */
  readonly meaning: string;
  readonly default?: string;
  /** The file that `<NAME>_FILE` names can hold it too. It is never printed. */
  readonly secret?: true;
  readonly schema: z.ZodType<unknown, string>;
}

const LISTENER_SETTINGS = {
  GRPC_LISTEN: {
    meaning: "Address of the gRPC listener, to which Envoy sends its Checks: `HOST:PORT` or `unix:/PATH`.",
    default: "127.0.0.1:9191",
    schema: listen,
  },
  GRPC_SERVER: {
    meaning:
      "The gRPC server: `http2`, Latchkey's own HTTP/2 server; `grpc-js`, the fallback; or `shadow`, Latchkey's own server with a copy of its traffic on `grpc-js`, which is compared. With `grpc-js` a Check costs four times as much. `shadow` needs a processor core and up to 512 MiB more.",
    default: "http2",
    schema: z.enum(["http2", "grpc-js", "shadow"]),
  },
  GRPC_MAX_HEADER_BYTES: {
    meaning:
      "Maximum bytes of the gRPC metadata of a Check, from 16384 to 8388608. A Check with more metadata is denied. Envoy's tracers and `initial_metadata` copy headers of the client's request into it.",
    default: "262144",
    schema: headerBytes,
  },
  HTTP_LISTEN: {
    meaning: "Address of the key API: `HOST:PORT`.",
    default: "127.0.0.1:8000",
    schema: tcp,
  },
  OPERATOR_LISTEN: {
    meaning:
      "Address of the operator API: `HOST:PORT`. If it is not set, development uses the address of `HTTP_LISTEN`, and production uses `127.0.0.1:8001`.",
    schema: tcp,
  },
  OPS_LISTEN: {
    meaning: "Address of `/metrics`, `/livez` and `/readyz`: `HOST:PORT`. This listener serves no secret.",
    default: "127.0.0.1:9464",
    schema: tcp,
  },
  AUTH_LISTEN: {
    meaning:
      "Address of the forward-auth listener, to which nginx, Caddy, Traefik and Envoy's `http_service` send their checks: `HOST:PORT`. If it is not set, there is no such listener.",
    schema: tcp,
  },
  ALLOW_CLEARTEXT: {
    meaning:
      "Listeners that may accept clear text beyond loopback in production, because a mesh encrypts: a comma-separated list of `grpc`, `http`, `operator` and `auth`.",
    schema: listeners,
  },
} as const satisfies Record<string, Setting>;

const TLS_SETTINGS = {
  GRPC_TLS_CERT: {
    meaning: "Certificate of the gRPC listener, with its chain: a PEM file. A changed file is reloaded.",
    schema: path,
  },
  GRPC_TLS_KEY: {
    meaning: "Private key of the gRPC listener: a PEM file without a passphrase.",
    schema: path,
  },
  GRPC_TLS_CLIENT_CA: {
    meaning:
      "CA of Envoy's client certificate: a PEM file. If it is set, only clients with a certificate of this CA can send Checks.",
    schema: path,
  },
  HTTP_TLS_CERT: {
    meaning:
      "Certificate of the HTTP and operator listeners, with its chain: a PEM file. A changed file is reloaded.",
    schema: path,
  },
  HTTP_TLS_KEY: {
    meaning: "Private key of the HTTP and operator listeners: a PEM file without a passphrase.",
    schema: path,
  },
  HTTP_TLS_CLIENT_CA: {
    meaning:
      "CA of client certificates: a PEM file. If it is set, only clients with a certificate of this CA can call the HTTP and operator listeners. Keys that are bound to a certificate need it for validation and refresh.",
    schema: path,
  },
  AUTH_TLS_CERT: {
    meaning:
      "Certificate of the forward-auth listener, with its chain: a PEM file. A changed file is reloaded.",
    schema: path,
  },
  AUTH_TLS_KEY: {
    meaning: "Private key of the forward-auth listener: a PEM file without a passphrase.",
    schema: path,
  },
  AUTH_TLS_CLIENT_CA: {
    meaning:
      "CA of the proxies' client certificate: a PEM file. If it is set, only clients with a certificate of this CA can call the forward-auth listener.",
    schema: path,
  },
} as const satisfies Record<string, Setting>;

const CLIENT_SETTINGS = {
  GRPC_TRUSTED_HOPS: {
    meaning:
      "Position of the client's address in `X-Forwarded-For` on a Check, counted from the right, from 0 to 32. 0 means the peer of Envoy's connection.",
    default: "0",
    schema: count(32),
  },
  HTTP_TRUSTED_HOPS: {
    meaning:
      "Position of the client's address in `X-Forwarded-For` on a call of the key API, counted from the right, from 0 to 32. 0 means the peer of the connection.",
    default: "0",
    schema: count(32),
  },
  AUTH_TRUSTED_HOPS: {
    meaning:
      "Position of the client's address in `X-Forwarded-For` (with `/original`: `X-Original-For`) on a call of the forward-auth listener, counted from the right, from 0 to 32. 0 means the peer of the connection, which is the proxy.",
    default: "1",
    schema: count(32),
  },
  HTTP_CORS_ORIGINS: {
    meaning:
      "Origins whose pages may call the key API: a comma-separated list of scheme and host, without a path.",
    schema: origins,
  },
} as const satisfies Record<string, Setting>;

const KEY_SETTINGS = {
  JWT_SECRET: {
    meaning: "Secret that signs keys (HS256): at least 32 bytes.",
    secret: true,
    schema: secret,
  },
  JWT_SECRET_PREVIOUS: {
    meaning:
      "Further secrets that verify keys: a comma-separated list of former secrets, or the next secret during a roll-out.",
    secret: true,
    schema: secrets,
  },
  JWT_KEYS_FILE: {
    meaning:
      "File with a JWK Set whose keys verify, each under its own `kid`. The first key signs, unless `JWT_SECRET` is set. A changed file is reloaded.",
    schema: z.string().min(1),
  },
  JWT_ISSUER: {
    meaning: "The `iss` claim of every key: printable ASCII without spaces, at most 200 characters.",
    default: "blyan-api",
    schema: word,
  },
  JWT_AUDIENCE: {
    meaning: "The `aud` claim of every key: printable ASCII without spaces, at most 200 characters.",
    default: "latchkey",
    schema: word,
  },
  KEY_HASH_SECRET: {
    meaning:
      "Secret of the HMAC under which V1 keys are stored: at least 32 bytes. It must differ from every JWT secret.",
    secret: true,
    schema: secret,
  },
  KEY_HASH_SECRET_PREVIOUS: {
    meaning:
      "Former values of `KEY_HASH_SECRET`: a comma-separated list. A V1 key that is stored under one of them is re-hashed on use.",
    secret: true,
    schema: secrets,
  },
  ADMIN_TOKEN: {
    meaning:
      "The first operator credentials: a comma-separated list, each of at least 32 bytes. Set `off` once keys with operator scopes exist.",
    secret: true,
    schema: z.union([z.literal("off"), secrets]),
  },
} as const satisfies Record<string, Setting>;

const STORE_SETTINGS = {
  STORE: {
    meaning:
      "The store of keys: `embedded` (SQLite in `DATA_DIR`) or `redis`. If it is not set, `redis` is used when `REDIS_URL` or `REDIS_HOST` is set, and `embedded` otherwise.",
    schema: z.enum(["embedded", "redis"]),
  },
  DATA_DIR: {
    meaning:
      "Folder of the embedded store, and of secrets that development creates. Only one process can use it at a time.",
    default: "./data",
    schema: z.string(),
  },
  RECORD_RETENTION: {
    meaning: "Time that a key's record is kept after the key's end: a duration.",
    default: "7d",
    schema: duration,
  },
} as const satisfies Record<string, Setting>;

const REDIS_SETTINGS = {
  REDIS_URL: {
    meaning:
      "URL of Redis: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, `rediss://` for TLS, or `unix:///PATH`. For Sentinel: `redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]]/MASTER[/DB]`, with the Sentinels as hosts, and with the user and password of the data nodes. For a Cluster: `redis+cluster://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]]`, with some of its nodes as hosts.",
    secret: true,
    schema: redisUrl,
  },
  REDIS_HOST: {
    meaning:
      "Host of Redis: a host name or an IP address. Use it instead of `REDIS_URL`. With `REDIS_CLUSTER=true` also a comma-separated list of `HOST[:PORT]`, with an IPv6 address in brackets: some nodes of the Cluster, better three than one.",
    schema: hostOrList,
  },
  REDIS_CLUSTER: {
    meaning: "`true` if `REDIS_HOST` names nodes of a Redis Cluster, or `false`.",
    default: "false",
    schema: flag,
  },
  REDIS_PORT: {
    meaning: "Port of Redis, from 1 to 65535.",
    default: "6379",
    schema: countFrom1(65_535),
  },
  REDIS_DB: {
    meaning: "Number of the Redis database, from 0 to 1000000.",
    default: "0",
    schema: count(1_000_000),
  },
  REDIS_USERNAME: {
    meaning: "ACL user of Redis: printable ASCII without spaces.",
    schema: word,
  },
  REDIS_PASSWORD: {
    meaning: "Password of Redis.",
    secret: true,
    schema: z.string(),
  },
  REDIS_TLS: {
    meaning: "`true` to connect to Redis with TLS, or `false`.",
    default: "false",
    schema: flag,
  },
  REDIS_CA: {
    meaning:
      "CA of Redis's certificate: a PEM file, which replaces the default roots. It applies to Sentinels too if `REDIS_SENTINEL_TLS` is `true`. New connections use a changed file.",
    schema: path,
  },
  REDIS_CERT: {
    meaning:
      "Client certificate for Redis, with its chain: a PEM file. It applies to Sentinels too if `REDIS_SENTINEL_TLS` is `true`. New connections use a changed file.",
    schema: path,
  },
  REDIS_KEY: {
    meaning: "Private key of `REDIS_CERT`: a PEM file without a passphrase.",
    schema: path,
  },
  REDIS_SENTINELS: {
    meaning:
      "The Sentinels that name the primary: a comma-separated list of `HOST[:PORT]`, with an IPv6 address in brackets. Use it instead of `REDIS_URL` and `REDIS_HOST`, and name all Sentinels.",
    schema: hostPorts(SENTINEL_PORT),
  },
  REDIS_SENTINEL_MASTER: {
    meaning: "Name of the primary in `sentinel monitor`: printable ASCII without spaces.",
    schema: word,
  },
  REDIS_SENTINEL_USERNAME: {
    meaning: "ACL user of the Sentinels: printable ASCII without spaces.",
    schema: word,
  },
  REDIS_SENTINEL_PASSWORD: {
    meaning: "Password of the Sentinels. The data nodes have their own.",
    secret: true,
    schema: z.string(),
  },
  REDIS_SENTINEL_TLS: {
    meaning: "`true` to connect to the Sentinels with TLS, or `false`.",
    default: "false",
    schema: flag,
  },
  REDIS_NAT_MAP: {
    meaning:
      "Addresses that Sentinels or the nodes of a Cluster name, and the addresses to connect to instead: a comma-separated list of `INSIDE:PORT=OUTSIDE:PORT`.",
    schema: natMap,
  },
  REDIS_WAIT_REPLICAS: {
    meaning:
      "Number of replicas that must have a change of the registry before it is acknowledged, from 0 to 16. With 0 Latchkey does not wait, and a failover can lose the last changes.",
    default: "0",
    schema: count(16),
  },
  REDIS_COMMAND_TIMEOUT_MS: {
    meaning: "Timeout of a command to Redis, in milliseconds, from 1 to 60000.",
    default: "50",
    schema: countFrom1(60_000),
  },
} as const satisfies Record<string, Setting>;

const POLICY_SETTINGS = {
  POLICY_FILE: {
    meaning: "The policy file. If no file has this name, the built-in policy applies.",
    default: "./latchkey.yaml",
    schema: z.string(),
  },
  POLICY_REQUIRE_COMPLETE: {
    meaning:
      "`true` or `false`. With `true` a policy file is rejected as incomplete unless its last entry is `policy: { complete: true }`.",
    default: "false",
    schema: flag,
  },
  TTL_BASIC: {
    meaning: "Lifetime of a `basic` key instead of the policy's: seconds, or a duration, at most `400d`.",
    schema: ttl,
  },
  TTL_CONTRIBUTOR: {
    meaning:
      "Lifetime of a `contributor` key instead of the policy's: seconds, or a duration, at most `400d`.",
    schema: ttl,
  },
  TTL_NODE_OPERATOR: {
    meaning:
      "Lifetime of a `node_operator` key instead of the policy's: seconds, or a duration, at most `400d`.",
    schema: ttl,
  },
} as const satisfies Record<string, Setting>;

const AUDIT_SETTINGS = {
  AUDIT_KEY: {
    meaning:
      "Secret that seals the audit chain: at least 32 bytes. Keep it from everyone who could want to change an audit line.",
    secret: true,
    schema: secret,
  },
  AUDIT_FILE: {
    meaning: "File of audit lines, written in addition to stdout: a regular file, or `off`.",
    default: "logs/api.log",
    schema: word,
  },
  AUDIT_FILE_MAX: {
    meaning:
      "Size at which the file of audit lines is rotated: bytes, or `KB`, `MB` or `GB` (units of 1024), at least `64KB`.",
    default: "100MB",
    schema: size(64 * 1024),
  },
  AUDIT_FILES: {
    meaning:
      "Number of files of audit lines that are kept, the current one included, from 2 to 100000. Before the oldest file is removed, its lines about keys are written again.",
    default: "10",
    schema: count(100_000).refine((files) => files >= 2, "must be at least 2"),
  },
  AUDIT_RETENTION: {
    meaning:
      "Time that the store keeps audit events, and that rotated files of audit lines are kept: a duration.",
    default: "90d",
    schema: duration,
  },
} as const satisfies Record<string, Setting>;

const USAGE_SETTINGS = {
  USAGE: {
    meaning:
      "Whether the usage of each key is counted: `on` or `off`. With `off`, usage that was counted before can still be read.",
    default: "on",
    schema: z.enum(["on", "off"]),
  },
  USAGE_RETENTION_HOURS: {
    meaning: "Time that usage by hour is kept: a duration from `1d` to `400d`.",
    default: "40d",
    schema: retention,
  },
  USAGE_RETENTION_DAYS: {
    meaning: "Time that usage by day and by route is kept: a duration from `1d` to `4000d`.",
    default: "400d",
    schema: longRetention,
  },
  USAGE_MAX_BYTES: {
    meaning:
      "Estimated size of all usage at which counting stops, so that usage never fills Redis: bytes, or `KB`, `MB` or `GB` (units of 1024), at least `1MB`.",
    default: "1GB",
    schema: size(1024 ** 2),
  },
} as const satisfies Record<string, Setting>;

const LOG_SETTINGS = {
  LOG_LEVEL: {
    meaning: "Lowest level that is logged: `debug`, `info`, `warn`, `error` or `silent`.",
    default: "info",
    schema: z.enum(["debug", "info", "warn", "error", "silent"]),
  },
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    meaning:
      "URL of the OpenTelemetry collector (OTLP over HTTP, protobuf). It receives a span for each Check and each call at `/v1/traces` below this URL. Without it there are no traces.",
    schema: httpUrl,
  },
  OTEL_EXPORTER_OTLP_HEADERS: {
    meaning:
      "Headers for the collector: `NAME=VALUE`, comma-separated, with percent-encoded values (`%20` for a space).",
    secret: true,
    schema: headers,
  },
  OTEL_TRACES_SAMPLER_ARG: {
    meaning:
      "Share of requests without a `traceparent` that start a trace, from 0 to 1. Other requests follow the sampled flag of their `traceparent`.",
    default: "1",
    schema: share,
  },
} as const satisfies Record<string, Setting>;

const CONSOLE_SETTINGS = {
  CONSOLE: {
    meaning:
      "Whether the operator listener serves the console at `/console`: `on` or `off`. With `off`, sessions of the console are not accepted either.",
    default: "on",
    schema: z.enum(["on", "off"]),
  },
} as const satisfies Record<string, Setting>;

const SIGN_IN_SETTINGS = {
  HOLDER_PAGE: {
    meaning: "Whether the HTTP listener serves the page for holders of keys at `/keys`: `on` or `off`.",
    default: "off",
    schema: z.enum(["on", "off"]),
  },
  OIDC_ISSUER: {
    meaning:
      "Issuer of the OpenID Connect provider with which people sign in: an https URL, or http on loopback. Its metadata is at `/.well-known/openid-configuration` below this URL.",
    schema: issuerUrl,
  },
  OIDC_CLIENT_ID: {
    meaning: "Client id of Latchkey at the provider: printable ASCII without spaces.",
    schema: word,
  },
  OIDC_CLIENT_SECRET: {
    meaning: "Client secret of Latchkey at the provider. Without it Latchkey is a public client.",
    secret: true,
    schema: z.string(),
  },
  OIDC_SCOPE: {
    meaning: "Scopes that are requested from the provider: separated by spaces, with `openid`.",
    default: "openid profile email",
    schema: oidcScope,
  },
  OIDC_CONSOLE_REDIRECT_URL: {
    meaning:
      "URL to which the provider returns people who sign in to the console: the address of the operator listener for browsers, with the path `/console/oidc/callback`.",
    schema: redirectUrl("/console/oidc/callback"),
  },
  OIDC_KEYS_REDIRECT_URL: {
    meaning:
      "URL to which the provider returns people who sign in to the page for holders: the address of the HTTP listener for browsers, with the path `/keys/oidc/callback`.",
    schema: redirectUrl("/keys/oidc/callback"),
  },
} as const satisfies Record<string, Setting>;

const PROCESS_SETTINGS = {
  ENVIRONMENT: {
    meaning: "`development` or `production`. Production rejects unsafe settings at start.",
    default: "development",
    schema: z.enum(["development", "production"]),
  },
  WORKERS: {
    meaning:
      "Number of processes that share the work of this machine, from 1 to 64; more than 1 needs Redis. Each has its own gRPC listener: the port of `GRPC_LISTEN` and the next ports, or its path and the same path with `.2`, `.3` and so on.",
    default: "1",
    schema: workers,
  },
  DRAIN_SECONDS: {
    meaning:
      "Time that a stopping instance keeps serving, in seconds, from 0 to 3600. A second signal ends it immediately.",
    default: "5",
    schema: count(3600),
  },
} as const satisfies Record<string, Setting>;

/** The settings under their headings in docs/reference/settings.md. */
export const SETTING_GROUPS = {
  Listeners: LISTENER_SETTINGS,
  TLS: TLS_SETTINGS,
  "Client addresses and origins": CLIENT_SETTINGS,
  "Keys and tokens": KEY_SETTINGS,
  Store: STORE_SETTINGS,
  Redis: REDIS_SETTINGS,
  Policy: POLICY_SETTINGS,
  Audit: AUDIT_SETTINGS,
  Usage: USAGE_SETTINGS,
  Console: CONSOLE_SETTINGS,
  "Sign-in": SIGN_IN_SETTINGS,
  "Logs and traces": LOG_SETTINGS,
  Process: PROCESS_SETTINGS,
} as const;

/** The settings that say where the store is, and how long it keeps records. */
export const STORE_SETTING_NAMES: readonly string[] = Object.keys({ ...STORE_SETTINGS, ...REDIS_SETTINGS });

/** Every setting of `latchkey serve`. */
export const SETTINGS = {
  ...LISTENER_SETTINGS,
  ...TLS_SETTINGS,
  ...CLIENT_SETTINGS,
  ...KEY_SETTINGS,
  ...STORE_SETTINGS,
  ...REDIS_SETTINGS,
  ...POLICY_SETTINGS,
  ...AUDIT_SETTINGS,
  ...USAGE_SETTINGS,
  ...CONSOLE_SETTINGS,
  ...SIGN_IN_SETTINGS,
  ...LOG_SETTINGS,
  ...PROCESS_SETTINGS,
} as const;

export type SettingName = keyof typeof SETTINGS;

export type Settings = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends { readonly default: string }
    ? z.output<(typeof SETTINGS)[Name]["schema"]>
    : z.output<(typeof SETTINGS)[Name]["schema"]> | undefined;
};
