import { isIP } from "node:net";
import { z } from "zod";
import { MAX_KEY_LIFE_SECONDS } from "./core/key-lifecycle.ts";
import { parseDuration } from "./policy/schema.ts";

/** Where a door listens. Port 0 takes a free one. */
export type Listen =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** RFC 7518 §3.2, and enough that nobody guesses the others either. */
const MIN_SECRET_BYTES = 32;

const tcp = z.string().transform((text, context): Listen & { kind: "tcp" } => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/\s]+)):(\d{1,5})$/.exec(text);
  const [, v6, name, port] = match ?? [];
  const host = v6 ?? name;
  if (host === undefined || Number(port) > 65_535 || (v6 !== undefined && isIP(v6) !== 6)) {
    context.addIssue("must be HOST:PORT, such as 127.0.0.1:9191 or [::1]:9191");
    return z.NEVER;
  }
  return { kind: "tcp", host, port: Number(port) };
});

const listen = z.union(
  [
    z
      .string()
      .regex(/^unix:\/.{1,100}$/)
      .transform((text): Listen => ({ kind: "unix", path: text.slice("unix:".length) })),
    tcp,
  ],
  "must be HOST:PORT or unix:/PATH",
);

const secret = z
  .string()
  .refine(
    (text) => Buffer.byteLength(text) >= MIN_SECRET_BYTES,
    `must have at least ${MIN_SECRET_BYTES} bytes`,
  );
const secrets = z
  .string()
  .transform((text) =>
    text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  )
  .pipe(z.array(secret));

const ttl = z.string().transform((text, context) => {
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : parseDuration(text);
  if (seconds !== undefined && seconds > 0 && seconds <= MAX_KEY_LIFE_SECONDS) return seconds;
  context.addIssue("must be seconds, or a duration such as 30d, at most 400d");
  return z.NEVER;
});

const duration = z.string().transform((text, context) => {
  const seconds = parseDuration(text);
  if (seconds !== undefined && seconds > 0) return seconds;
  context.addIssue("must be a duration such as 12h or 7d");
  return z.NEVER;
});

const count = (max: number) =>
  z
    .string()
    .regex(/^\d{1,7}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.int().max(max));
const word = z.string().regex(/^[\x21-\x7e]{1,200}$/, "must be printable ASCII without spaces");
const doors = z
  .string()
  .transform((text) => text.split(",").map((part) => part.trim()))
  .pipe(z.array(z.enum(["grpc", "http", "operator"])));

/** One setting: what it means, and how its text becomes a value. Without a default it may be left out. */
interface Setting {
  readonly meaning: string;
  readonly default?: string;
  /** May also come from the file that `<NAME>_FILE` names; never printed. */
  readonly secret?: true;
  readonly schema: z.ZodType<unknown, string>;
}

/** Every setting of `latchkey serve`: docs/settings.md is compared with this table. */
export const SETTINGS = {
  GRPC_LISTEN: {
    meaning: "where Envoy asks (gRPC ext_authz): HOST:PORT, or unix:/PATH",
    default: "127.0.0.1:9191",
    schema: listen,
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
  JWT_SECRET: { meaning: "signs keys (HS256); at least 32 bytes", secret: true, schema: secret },
  JWT_SECRET_PREVIOUS: {
    meaning: "further secrets that verify, comma-separated: older ones, or the next one during a roll-out",
    secret: true,
    schema: secrets,
  },
  JWT_ISSUER: { meaning: "the `iss` of every key", default: "blyan-api", schema: word },
  JWT_AUDIENCE: { meaning: "the `aud` of every key", default: "latchkey", schema: word },
  ADMIN_TOKEN: {
    meaning:
      "operators' first credentials, comma-separated, at least 32 bytes each; `off` once keys with operator scopes exist",
    secret: true,
    schema: z.union([z.literal("off"), secrets]),
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
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;

export type Settings = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends { readonly default: string }
    ? z.output<(typeof SETTINGS)[Name]["schema"]>
    : z.output<(typeof SETTINGS)[Name]["schema"]> | undefined;
};
