/** The address of a Redis, with credentials. */
export interface RedisAddress {
  /** The path of a Unix socket, instead of host and port. */
  readonly socket?: string;
  readonly host?: string;
  readonly port?: number;
  readonly db?: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: boolean;
}

export type ParsedRedisUrl =
  | { readonly ok: true; readonly place: RedisAddress }
  /** Follows the setting's name in a sentence. It quotes no part of the URL, which contains a password. */
  | { readonly ok: false; readonly problem: string };

const FORM = "must be redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, or unix:///PATH";

/**
 * Parses `redis://`, `rediss://` (TLS) and `unix://` URLs. Both the validation of the settings and the connection use it, so
 * they cannot read a URL in different ways.
 */
export function readRedisUrl(text: string): ParsedRedisUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !isComplete(url)) return { ok: false, problem: FORM };
  if (url.search !== "" || url.hash !== "")
    return {
      ok: false,
      problem: "takes neither ? nor #: the database is /DB, and percent-encode a password",
    };
  const [username, password] = [decoded(url.username), decoded(url.password)];
  const path = decoded(url.pathname);
  if (username === undefined || password === undefined || path === undefined)
    return { ok: false, problem: "has a % that is not part of an escape: percent-encode it, as %25" };
  const credentials = { ...(username !== "" && { username }), ...(password !== "" && { password }) };
  if (url.protocol === "unix:") return { ok: true, place: { socket: path, ...credentials } };
  const [, db] = /^\/(\d{1,7})$/.exec(path) ?? [];
  if (path !== "" && path !== "/" && db === undefined)
    return { ok: false, problem: "must end in /DB, where DB is the number of a database, or in HOST[:PORT]" };
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

function isComplete({ protocol, hostname, pathname, port }: URL): boolean {
  if (protocol === "unix:") return hostname === "" && pathname.length > 1;
  return (protocol === "redis:" || protocol === "rediss:") && hostname !== "" && port !== "0";
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
