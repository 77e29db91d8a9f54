/** Where a Redis is, and as whom to talk to it. */
export interface RedisAddress {
  /** Path of a Unix socket, instead of host and port. */
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
  /** What is wrong, to follow the setting's name. It holds no part of the URL, which has a password in it. */
  | { readonly ok: false; readonly problem: string };

const FORM = "must be redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, or unix:///PATH";

/**
 * Reads `redis://`, `rediss://` (TLS) and `unix://` URLs. The settings are checked with it and the connection is made
 * with it, so nothing passes the check that the connection would read in another way.
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
    return { ok: false, problem: "has a % that encodes nothing: percent-encode it, as %25" };
  const who = { ...(username !== "" && { username }), ...(password !== "" && { password }) };
  if (url.protocol === "unix:") return { ok: true, place: { socket: path, ...who } };
  const [, db] = /^\/(\d{1,7})$/.exec(path) ?? [];
  if (path !== "" && path !== "/" && db === undefined)
    return { ok: false, problem: "must end in /DB, where DB is the number of a database, or in HOST[:PORT]" };
  return {
    ok: true,
    place: {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      ...(url.port !== "" && { port: Number(url.port) }),
      ...(db !== undefined && { db: Number(db) }),
      ...who,
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
