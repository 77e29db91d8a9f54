import type { HostPort } from "./host-port.ts";
import { parseHostPorts } from "./host-port.ts";
import type { RedisTlsMaterial } from "./redis-tls.ts";

/** The address of a Redis and its credentials. */
export interface RedisAddress {
  /** The path of a Unix socket, instead of host and port. */
  readonly socket?: string;
  readonly host?: string;
  readonly port?: number;
  /** The Sentinels that name the primary, instead of host and port. */
  readonly sentinels?: SentinelGroup;
  /** Some nodes of a Cluster, which name the others, instead of host and port. */
  readonly seeds?: readonly HostPort[];
  readonly db?: number;
  /** User and password of the data nodes. */
  readonly username?: string;
  readonly password?: string;
  /** TLS with the data nodes. */
  readonly tls?: boolean;
  /** Read for every connection with TLS. Absent: Node's default roots, and no client certificate. */
  readonly tlsMaterial?: () => RedisTlsMaterial;
  /** By the address that a Sentinel or a node of a Cluster names, as `host:port`: the address to connect to. */
  readonly natMap?: ReadonlyMap<string, HostPort>;
}

/** Sentinels that monitor the same primary. */
export interface SentinelGroup {
  readonly addresses: readonly HostPort[];
  /** The name of the primary in `sentinel monitor`. */
  readonly master: string;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: boolean;
}

export type ParsedRedisUrl =
  | { readonly ok: true; readonly place: RedisAddress }
  /** Follows the setting's name in a sentence. It quotes no part of the URL, which contains a password. */
  | { readonly ok: false; readonly problem: string };

export const SENTINEL_PORT = 26_379;
export const REDIS_PORT = 6379;

const FORM =
  "must be redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, unix:///PATH, redis+sentinel:// or redis+cluster://";
const SENTINEL_FORM =
  "must be redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]]/MASTER[/DB], with an IPv6 address in brackets";
const CLUSTER_FORM =
  "must be redis+cluster://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]], with an IPv6 address in brackets";
const NO_QUERY = "takes neither ? nor #: the database is /DB, and percent-encode a password";
const NO_ENCODING = "has a % that is not part of an escape: percent-encode it, as %25";

/**
 * Parses `redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://` and `redis+cluster://` URLs. The settings are checked
 * and the connections are made by the same parser, so that both read a URL in the same way.
 */
export function readRedisUrl(text: string): ParsedRedisUrl {
  if (/^rediss?\+cluster:/i.test(text)) return readClusterUrl(text);
  if (/^rediss?\+sentinel:/i.test(text)) return readSentinelUrl(text);
  // Only hosts follow the last @. A password may have commas.
  if (/^rediss?:\/\/(?:.*@)?[^/@]*,[^@]*$/i.test(text))
    return invalid(
      "names several servers: name one, Sentinels by redis+sentinel://HOST,HOST/MASTER, or nodes by redis+cluster://HOST,HOST",
    );
  return readSingleUrl(text);
}

function readSingleUrl(text: string): ParsedRedisUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !isComplete(url)) return invalid(FORM);
  if (url.search !== "" || url.hash !== "") return invalid(NO_QUERY);
  const credentials = readCredentials(url.username, url.password);
  const path = decoded(url.pathname);
  if (credentials === undefined || path === undefined) return invalid(NO_ENCODING);
  if (url.protocol === "unix:") return { ok: true, place: { socket: path, ...credentials } };
  const [, db] = /^\/(\d{1,7})$/.exec(path) ?? [];
  if (path !== "" && path !== "/" && db === undefined)
    return invalid("must end in /DB, where DB is the number of a database, or in HOST[:PORT]");
  return {
    ok: true,
    place: {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      ...(url.port !== "" && { port: Number(url.port) }),
      ...(db !== undefined && { db: Number(db) }),
      ...credentials,
      tls: url.protocol === "rediss:",
    },
  };
}

/** `new URL()` rejects a list of hosts with ports. */
function readSentinelUrl(text: string): ParsedRedisUrl {
  if (/[?#]/.test(text)) return invalid(NO_QUERY);
  const [, scheme, user = "", password = "", list = "", master = "", db] =
    /^(rediss?)\+sentinel:\/\/(?:([^@/:]*)(?::([^@/]*))?@)?([^@/]+)\/([^/]+)(?:\/(\d{1,7}))?$/i.exec(text) ??
    [];
  const addresses = parseHostPorts(list, SENTINEL_PORT);
  if (scheme === undefined || addresses === undefined) return invalid(SENTINEL_FORM);
  const credentials = readCredentials(user, password);
  const name = decoded(master);
  if (credentials === undefined || name === undefined) return invalid(NO_ENCODING);
  return {
    ok: true,
    place: {
      sentinels: { addresses, master: name },
      ...(db !== undefined && { db: Number(db) }),
      ...credentials,
      // Without it REDIS_TLS decides.
      ...(scheme.toLowerCase() === "rediss" && { tls: true }),
    },
  };
}

function readClusterUrl(text: string): ParsedRedisUrl {
  if (/[?#]/.test(text)) return invalid(NO_QUERY);
  const [, scheme, user = "", password = "", list = "", db] =
    /^(rediss?)\+cluster:\/\/(?:([^@/:]*)(?::([^@/]*))?@)?([^@/]+)(?:\/(\d{1,7})?)?$/i.exec(text) ?? [];
  const seeds = parseHostPorts(list, REDIS_PORT);
  if (scheme === undefined || seeds === undefined) return invalid(CLUSTER_FORM);
  const credentials = readCredentials(user, password);
  if (credentials === undefined) return invalid(NO_ENCODING);
  if (Number(db ?? 0) !== 0)
    return invalid(`names database ${db}, and a Cluster has only database 0: leave it out`);
  const tls = scheme.toLowerCase() === "rediss";
  return { ok: true, place: { seeds, ...credentials, ...(tls && { tls }) } };
}

function invalid(problem: string): ParsedRedisUrl {
  return { ok: false, problem };
}

function isComplete({ protocol, hostname, pathname, port }: URL): boolean {
  if (protocol === "unix:") return hostname === "" && pathname.length > 1;
  return (protocol === "redis:" || protocol === "rediss:") && hostname !== "" && port !== "0";
}

function readCredentials(
  user: string,
  secret: string,
): Pick<RedisAddress, "username" | "password"> | undefined {
  const [username, password] = [decoded(user), decoded(secret)];
  if (username === undefined || password === undefined) return undefined;
  return { ...(username !== "" && { username }), ...(password !== "" && { password }) };
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
