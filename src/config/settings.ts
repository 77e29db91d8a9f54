import { z } from "zod";
import {
  count,
  countFrom1,
  doors,
  duration,
  flag,
  headerBytes,
  headers,
  host,
  httpUrl,
  listen,
  origins,
  path,
  redisUrl,
  secret,
  secrets,
  share,
  size,
  tcp,
  ttl,
  word,
  workers,
} from "./parsers.ts";
import type { RedisAddress } from "./redis-url.ts";
import { readRedisUrl } from "./redis-url.ts";

/** One setting: what it means, and how its text becomes a value. Without a default it may be left out. */
interface Setting {
  readonly meaning: string;
  readonly default?: string;
  /** May also come from the file that `<NAME>_FILE` names; never printed. */
  readonly secret?: true;
  readonly schema: z.ZodType<unknown, string>;
}

/** Every setting of `latchkey serve`: docs/reference/settings.md is compared with this table. */
export const SETTINGS = {
  GRPC_LISTEN: {
    meaning: "where Envoy asks (gRPC ext_authz): HOST:PORT, or unix:/PATH",
    default: "127.0.0.1:9191",
    schema: listen,
  },
  GRPC_SERVER: {
    meaning:
      "what serves gRPC: an HTTP/2 of Latchkey's own (`http2`), or `grpc-js`, by which a Check costs four times as much: to turn to, should ours ever be in doubt",
    default: "http2",
    schema: z.enum(["http2", "grpc-js"]),
  },
  GRPC_MAX_HEADER_BYTES: {
    meaning:
      "gRPC metadata of a Check: up to so many bytes are taken (16384 to 8388608), and beyond them the request is denied; Envoy copies into it what its tracers and `initial_metadata` take from a client's request",
    default: "262144",
    schema: headerBytes,
  },
  HTTP_LISTEN: { meaning: "where the key API answers", default: "127.0.0.1:8000", schema: tcp },
  OPERATOR_LISTEN: {
    meaning:
      "where the operator API answers; in development it shares HTTP_LISTEN, in production it is 127.0.0.1:8001",
    schema: tcp,
  },
  OPS_LISTEN: {
    meaning: "where /metrics, /livez and /readyz answer; it holds no secret",
    default: "127.0.0.1:9464",
    schema: tcp,
  },
  GRPC_TLS_CERT: {
    meaning: "the gRPC door's certificate, with its chain: a PEM file, taken up again when it changes",
    schema: path,
  },
  GRPC_TLS_KEY: { meaning: "its private key: a PEM file", schema: path },
  GRPC_TLS_CLIENT_CA: {
    meaning: "the CA of Envoy's client certificate: a PEM file; without a certificate of it nobody may ask",
    schema: path,
  },
  HTTP_TLS_CERT: { meaning: "the same for the HTTP and operator doors", schema: path },
  HTTP_TLS_KEY: { meaning: "its private key", schema: path },
  HTTP_TLS_CLIENT_CA: {
    meaning:
      "the CA of clients' certificates: without a certificate of it nobody may call; keys that are bound to a certificate are validated and refreshed with it",
    schema: path,
  },
  JWT_SECRET: { meaning: "signs keys (HS256); at least 32 bytes", secret: true, schema: secret },
  JWT_SECRET_PREVIOUS: {
    meaning: "further secrets that verify, comma-separated: older ones, or the next one during a roll-out",
    secret: true,
    schema: secrets,
  },
  JWT_KEYS_FILE: {
    meaning:
      "a JWK Set whose keys verify, each under its own `kid`, and of which the first signs unless JWT_SECRET is set; taken up again when it changes",
    schema: z.string().min(1),
  },
  KEY_HASH_SECRET: {
    meaning: "keys the hash under which V1 keys are stored; at least 32 bytes, and no JWT secret",
    secret: true,
    schema: secret,
  },
  KEY_HASH_SECRET_PREVIOUS: {
    meaning: "former ones, comma-separated: keys found under them are re-hashed on use",
    secret: true,
    schema: secrets,
  },
  AUDIT_KEY: {
    meaning: "seals the audit chain; at least 32 bytes, and known to nobody who could want to change a line",
    secret: true,
    schema: secret,
  },
  AUDIT_FILE: {
    meaning: "where audit lines are written beside stdout: a regular file; or `off`",
    default: "logs/api.log",
    schema: word,
  },
  AUDIT_FILE_MAX: {
    meaning: "a file of audit lines that has grown to this is put aside, and another one begun",
    default: "100MB",
    schema: size(64 * 1024),
  },
  AUDIT_FILES: {
    meaning:
      "files of audit lines that are kept, the one that is written among them; of the oldest one, what it says of keys is written again before it goes",
    default: "10",
    schema: count(100_000).refine((files) => files >= 2, "must be at least 2"),
  },
  AUDIT_RETENTION: {
    meaning: "how long the store keeps audit events, and a file of audit lines that was put aside stays",
    default: "90d",
    schema: duration,
  },
  JWT_ISSUER: { meaning: "the `iss` of every key", default: "blyan-api", schema: word },
  JWT_AUDIENCE: { meaning: "the `aud` of every key", default: "latchkey", schema: word },
  ADMIN_TOKEN: {
    meaning:
      "operators' first credentials, comma-separated, at least 32 bytes each; `off` once keys with operator scopes exist",
    secret: true,
    schema: z.union([z.literal("off"), secrets]),
  },
  STORE: {
    meaning:
      "where keys live: `embedded` (SQLite in DATA_DIR) or `redis`; `redis` as soon as a Redis is named",
    schema: z.enum(["embedded", "redis"]),
  },
  REDIS_URL: {
    meaning: "the Redis, as redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, or unix:///PATH",
    secret: true,
    schema: redisUrl,
  },
  REDIS_HOST: { meaning: "the Redis, where no REDIS_URL is given", schema: host },
  REDIS_PORT: { meaning: "its port", default: "6379", schema: countFrom1(65_535) },
  REDIS_DB: { meaning: "its database", default: "0", schema: count(1_000_000) },
  REDIS_USERNAME: { meaning: "its ACL user", schema: word },
  REDIS_PASSWORD: { meaning: "its password", secret: true, schema: z.string() },
  REDIS_TLS: { meaning: "`true` for TLS", default: "false", schema: flag },
  REDIS_WAIT_REPLICAS: {
    meaning:
      "replicas that must have a change of the registry before it is acknowledged; 0 does not wait, and a failover may then lose the last changes",
    default: "0",
    schema: count(16),
  },
  REDIS_COMMAND_TIMEOUT_MS: {
    meaning: "how long a command to Redis may take, in milliseconds",
    default: "50",
    schema: countFrom1(60_000),
  },
  DATA_DIR: {
    meaning: "where the embedded store and secrets made in development live; one process at a time",
    default: "./data",
    schema: z.string(),
  },
  POLICY_FILE: {
    meaning: "the policy; without a file of this name the built-in one holds",
    default: "./latchkey.yaml",
    schema: z.string(),
  },
  POLICY_REQUIRE_COMPLETE: {
    meaning:
      "`true`: a policy file is refused as half written unless its last entry is `policy: { complete: true }`",
    default: "false",
    schema: flag,
  },
  TTL_BASIC: {
    meaning: "life of a `basic` key instead of the policy's: seconds, or a duration",
    schema: ttl,
  },
  TTL_CONTRIBUTOR: { meaning: "the same for `contributor`", schema: ttl },
  TTL_NODE_OPERATOR: { meaning: "the same for `node_operator`", schema: ttl },
  RECORD_RETENTION: {
    meaning: "how long a key's record stays after the key's end",
    default: "7d",
    schema: duration,
  },
  GRPC_TRUSTED_HOPS: {
    meaning: "the client's address is the n-th from the right of X-Forwarded-For on a Check; 0: Envoy's peer",
    default: "0",
    schema: count(32),
  },
  HTTP_TRUSTED_HOPS: {
    meaning: "the same for calls of the key API; 0: the peer",
    default: "0",
    schema: count(32),
  },
  HTTP_CORS_ORIGINS: {
    meaning:
      "origins from which pages may call the key API, comma-separated, such as https://app.example.com",
    schema: origins,
  },
  ENVIRONMENT: {
    meaning: "`production` refuses to start with anything unsafe",
    default: "development",
    schema: z.enum(["development", "production"]),
  },
  ALLOW_CLEARTEXT: {
    meaning:
      "doors that may listen in clear text beyond loopback in production, since a mesh encrypts: `grpc`, `http`, `operator`",
    schema: doors,
  },
  WORKERS: {
    meaning:
      "processes that share this machine's work, with Redis only; each has a gRPC door of its own: GRPC_LISTEN's port and those after it, or its path and the same with `.2`, `.3` and so on",
    default: "1",
    schema: workers,
  },
  DRAIN_SECONDS: {
    meaning: "how long a stopping instance goes on serving; a second signal ends it at once",
    default: "5",
    schema: count(3600),
  },
  LOG_LEVEL: {
    meaning: "`debug`, `info`, `warn`, `error` or `silent`",
    default: "info",
    schema: z.enum(["debug", "info", "warn", "error", "silent"]),
  },
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    meaning:
      "the OpenTelemetry collector (OTLP over HTTP, protobuf) that gets a span for each Check and each call, at /v1/traces below this URL; without it there are no traces",
    schema: httpUrl,
  },
  OTEL_EXPORTER_OTLP_HEADERS: {
    meaning: "headers for it, `NAME=VALUE` with commas between, values percent-encoded (`%20` for a space)",
    secret: true,
    schema: headers,
  },
  OTEL_TRACES_SAMPLER_ARG: {
    meaning:
      "the share of requests without a `traceparent` that begin a trace, from 0 to 1; the others follow its sampled flag",
    default: "1",
    schema: share,
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;

export type Settings = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends { readonly default: string }
    ? z.output<(typeof SETTINGS)[Name]["schema"]>
    : z.output<(typeof SETTINGS)[Name]["schema"]> | undefined;
};

/** Where Redis is, as the connection will read it. */
export function redisPlace(settings: Settings): RedisAddress {
  const { REDIS_HOST: host, REDIS_USERNAME: username, REDIS_PASSWORD: password, REDIS_URL: url } = settings;
  const beside = {
    ...(host !== undefined && { host }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  };
  const read = url === undefined ? undefined : readRedisUrl(url);
  return {
    port: settings.REDIS_PORT,
    db: settings.REDIS_DB,
    tls: settings.REDIS_TLS,
    ...(read?.ok && read.place),
    ...beside,
  };
}

/** The text of every secret that was set: what must never be seen. */
export function secretTexts(settings: Settings): readonly string[] {
  const texts = Object.entries(SETTINGS).flatMap(([name, setting]) => {
    const value = "secret" in setting ? Object.getOwnPropertyDescriptor(settings, name)?.value : undefined;
    const one = typeof value === "object" ? Object.values(value) : (value ?? []);
    return [one].flat().map(String);
  });
  const { password } = redisPlace(settings);
  return password === undefined ? texts : [...texts, password];
}
