import { isIP } from "node:net";
import { z } from "zod";
import { trimOws } from "../core/field-text.ts";
import { MAX_KEY_LIFE_SECONDS } from "../core/keys/key-lifecycle.ts";
import { parseDuration } from "../core/policy/duration.ts";
import type { HostPort } from "./host-port.ts";
import { formatHostPort, isHost, parseHostPort, parseHostPorts } from "./host-port.ts";
import { readRedisUrl } from "./redis-url.ts";

// An import of `node:http` would load Node's client (src/http1/node-server.ts).
const { validateHeaderValue } = process.getBuiltinModule("node:http");

/** A listener's address. Port 0 means any free port. */
export type Listen =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** RFC 7518 §3.2. It also makes the other secrets unguessable. */
const MIN_SECRET_BYTES = 32;

/** `HOST:PORT`. */
export const tcp = z.string().transform((text, context): Listen & { kind: "tcp" } => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/\s]+)):(\d{1,5})$/.exec(text);
  const [, v6, name, port] = match ?? [];
  const host = v6 ?? name;
  if (host === undefined || Number(port) > 65_535 || (v6 !== undefined && isIP(v6) !== 6)) {
    context.addIssue("must be HOST:PORT, such as 127.0.0.1:9191 or [::1]:9191");
    return z.NEVER;
  }
  return { kind: "tcp", host, port: Number(port) };
});

export function formatListen(listen: Listen): string {
  if (listen.kind === "unix") return `unix:${listen.path}`;
  return formatHostPort(listen);
}

/** The addresses of several workers: consecutive ports, or a path and the same path with `.2`, `.3` and so on. */
export function listenOfWorker(listen: Listen, index: number): Listen {
  if (index === 1 || (listen.kind === "tcp" && listen.port === 0)) return listen;
  return listen.kind === "unix"
    ? { ...listen, path: `${listen.path}.${index}` }
    : { ...listen, port: listen.port + index - 1 };
}

/** `HOST:PORT` or `unix:/PATH`. */
export const listen = z.union(
  [
    z
      .string()
      .regex(/^unix:\/.{1,100}$/)
      .transform((text): Listen => ({ kind: "unix", path: text.slice("unix:".length) })),
    tcp,
  ],
  "must be HOST:PORT or unix:/PATH",
);

export const secret = z
  .string()
  .refine(
    (text) => Buffer.byteLength(text) >= MIN_SECRET_BYTES,
    `must have at least ${MIN_SECRET_BYTES} bytes`,
  );
/** Comma-separated secrets. */
export const secrets = z
  .string()
  .transform((text) =>
    text
      .split(",")
      .map(trimOws)
      .filter((part) => part !== ""),
  )
  .pipe(z.array(secret));

/** Seconds, or a duration, in seconds; at most 400 days. */
export const ttl = z.string().transform((text, context) => {
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : parseDuration(text);
  if (seconds !== undefined && seconds > 0 && seconds <= MAX_KEY_LIFE_SECONDS) return seconds;
  context.addIssue("must be seconds, or a duration such as 30d, at most 400d");
  return z.NEVER;
});

/** A duration such as `7d`, in seconds. */
export const duration = z.string().transform((text, context) => {
  const seconds = parseDuration(text);
  if (seconds !== undefined && seconds > 0) return seconds;
  context.addIssue("must be a duration such as 12h or 7d");
  return z.NEVER;
});

const DAY_SECONDS = 86_400;
/** A duration from one day on, in seconds. */
const days = (most: number) =>
  duration.refine(
    (seconds) => seconds >= DAY_SECONDS && seconds <= most * DAY_SECONDS,
    `must be from 1d to ${most}d`,
  );
/** How long hours are kept. */
export const retention = days(400);
/** How long days are kept. */
export const longRetention = days(4000);

/** An integer from 0. */
export const count = (max: number) =>
  z
    .string()
    .regex(/^\d{1,7}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.int().max(max));
const UNITS: Readonly<Record<string, number>> = { KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 };

/** A size such as `100MB`, in bytes. 1KB is 1,024 bytes. */
export const size = (min: number) =>
  z.string().transform((text, context) => {
    const [, number, unit = ""] = /^(\d{1,12})(KB|MB|GB)?$/.exec(text) ?? [];
    const bytes = Number(number) * (UNITS[unit] ?? 1);
    if (Number.isSafeInteger(bytes) && bytes >= min) return bytes;
    context.addIssue(`must be a size such as 100MB, at least ${min} bytes`);
    return z.NEVER;
  });
/** An integer from 1. */
export const countFrom1 = (max: number) => count(max).refine((number) => number >= 1, "must be at least 1");
/** The maximum size of a header block. */
export const headerBytes = count(8_388_608).refine((bytes) => bytes >= 16_384, "must be at least 16384");
/** The number of worker processes. */
export const workers = countFrom1(64);
export const word = z.string().regex(/^[\x21-\x7e]{1,200}$/, "must be printable ASCII without spaces");
/** A file name. */
export const path = z.string().min(1);
/** Comma-separated names of listeners. */
export const listeners = z
  .string()
  .transform((text) => text.split(",").map(trimOws))
  .pipe(z.array(z.enum(["grpc", "http", "operator", "auth"])));

/** `true` or `false`. */
export const flag = z.enum(["true", "false"]).transform((text) => text === "true");

/** `redis://`, `rediss://` (TLS) or `unix://`, optionally with user, password and database. It stays text, because it contains a secret. */
export const redisUrl = z.string().superRefine((text, context) => {
  const read = readRedisUrl(text);
  if (!read.ok) context.addIssue(read.problem);
});

/**
 * A host name or an IP address alone, or a list of nodes; another setting decides which (redis-place.ts). Anything else could
 * not be resolved, and the start would wait for it.
 */
export const hostOrList = z
  .string()
  .refine(
    (text) => isHost(text) || parseHostPorts(text, 1) !== undefined,
    "must be a host name or an IP address, without scheme and port; or, with REDIS_CLUSTER, HOST[:PORT] with commas between",
  );

/** `HOST[:PORT]`, comma-separated. */
export const hostPorts = (defaultPort: number) =>
  z.string().transform((text, context) => {
    const list = parseHostPorts(text, defaultPort);
    if (list !== undefined) return list;
    context.addIssue("must be HOST[:PORT] with commas between, none twice, such as s1:26379,[::1]:26379");
    return z.NEVER;
  });

/** `INSIDE:PORT=OUTSIDE:PORT`, comma-separated: the outside address by the inside one, as `host:port`. */
export const natMap = z.string().transform((text, context): ReadonlyMap<string, HostPort> => {
  const pairs = text.split(",").map((pair) => pair.split("=").map((side) => parseHostPort(side.trim())));
  const map = new Map<string, HostPort>();
  for (const [inside, outside, ...more] of pairs)
    if (inside !== undefined && outside !== undefined && more.length === 0)
      map.set(formatHostPort(inside), outside);
  if (map.size === pairs.length) return map;
  context.addIssue("must be INSIDE:PORT=OUTSIDE:PORT with commas between, and each INSIDE:PORT once");
  return z.NEVER;
});

/** An `http://` or `https://` URL without credentials, which do not belong in a URL. */
export const httpUrl = z.string().refine((text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url?.username === "" && url.password === "" && url.search === "" && url.hash === "";
  return plain && (url.protocol === "http:" || url.protocol === "https:");
}, "must be http://HOST[:PORT][/PATH] or https://, without user, query and fragment");

/** Headers in OpenTelemetry's form: comma-separated `name=value` with percent-encoded values. */
export const headers = z.string().transform((text, context): Readonly<Record<string, string>> => {
  const pairs = text.split(",").map(headerPair);
  if (pairs.every((pair) => pair !== undefined)) return Object.fromEntries(pairs);
  context.addIssue(
    "must be NAME=VALUE with commas between, values percent-encoded: %20 for a space, as in Authorization=Basic%20…",
  );
  return z.NEVER;
});

function headerPair(text: string): readonly [name: string, value: string] | undefined {
  const [, name, value] = /^[ \t]*([\w!#$%&'*+.^`|~-]+)=([\x21-\x7e]*)[ \t]*$/.exec(text) ?? [];
  if (name === undefined || value === undefined) return undefined;
  try {
    const decoded = decodeURIComponent(value);
    validateHeaderValue(name, decoded);
    return [name, decoded];
  } catch {
    return undefined;
  }
}

/** A number from 0 to 1. */
export const share = z
  .string()
  .regex(/^(?:0|1|[01]?\.\d{1,9})$/, "must be a number from 0 to 1, such as 0.05")
  .transform(Number)
  .pipe(z.number().max(1));

/** Comma-separated origins as browsers send them: scheme and host, no path. */
export const origins = z.string().transform((text, context) => {
  const list = text
    .split(",")
    .map(trimOws)
    .filter((part) => part !== "");
  for (const origin of list) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      context.addIssue(`"${origin}" is not an origin such as https://app.example.com`);
  }
  return list;
});

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** A URL to which or from which credentials travel: https, or http on loopback. */
function credentialUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== "" || url.password !== "") return undefined;
  if (/[?#\s]/.test(text)) return undefined;
  return url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.test(url.hostname))
    ? url
    : undefined;
}

/** An issuer of OpenID Connect (Discovery §3). It stays text, because it is compared with `iss`. */
export const issuerUrl = z
  .string()
  .refine(
    (text) => credentialUrl(text) !== undefined && !text.includes("/.well-known/"),
    "must be an https URL without user, query, fragment and /.well-known; http only on loopback",
  );

/** The URL of the callback at `path` of this instance. */
export const redirectUrl = (path: string) =>
  z
    .string()
    .refine(
      (text) => credentialUrl(text)?.pathname === path,
      `must be an https URL with the path ${path}, without user, query and fragment; http only on loopback`,
    );

/** Scopes (RFC 6749 §3.3) with `openid`. */
export const oidcScope = z
  .string()
  .refine(
    (text) =>
      /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(text) &&
      text.split(" ").includes("openid"),
    "must be scopes separated by single spaces, with openid",
  );
