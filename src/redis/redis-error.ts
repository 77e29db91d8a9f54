import { StoreUnavailable } from "../core/store-unavailable.ts";

/** No connection, no reply in time, or an error reply. */
export type RedisFaultKind = "connection" | "timeout" | "reply";

export interface RedisFaultDetails {
  /** The first word of Redis's error, such as `READONLY` or `OOM`. */
  readonly code?: string;
  /** A sentence that names the setting to change. Absent: the fault may be temporary. */
  readonly rejectedSetting?: string;
  readonly cause: unknown;
}

/** A command failed. If it timed out or its connection broke, Redis may still have executed it. */
export class RedisUnavailable extends StoreUnavailable {
  override readonly name = "RedisUnavailable";
  readonly kind: RedisFaultKind;
  readonly code?: string;

  constructor(kind: RedisFaultKind, message: string, { code, rejectedSetting, cause }: RedisFaultDetails) {
    super(message, { cause, ...(rejectedSetting !== undefined && { rejectedSetting }) });
    this.kind = kind;
    if (code !== undefined) this.code = code;
  }
}

/** A command without a reply in time. Redis may still execute it. */
export function timedOut(who = "Redis", cause?: unknown): RedisUnavailable {
  return new RedisUnavailable("timeout", `${who} did not respond in time`, { cause });
}

/** Error codes of a Redis that starts, fails over or is full. They end without a change of our settings. */
const TEMPORARY_CODES = new Set([
  ...["LOADING", "MASTERDOWN", "READONLY", "NOREPLICAS", "UNBLOCKED"],
  ...["OOM", "MISCONF", "BUSY", "NOSCRIPT"],
  // The slot is on another node, is moving there, or has no node.
  ...["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"],
]);

/** Error codes of a server that must no longer be used: another server is the primary, or it is cut off from its replicas. */
const NOT_THE_PRIMARY = new Set(["READONLY", "NOREPLICAS", "MASTERDOWN", "UNBLOCKED"]);

export function isNotThePrimary({ code = "" }: RedisUnavailable): boolean {
  return NOT_THE_PRIMARY.has(code);
}

/** The server must no longer be used for the registry: as above, or it serves its slot no longer. */
export function isNotTheRegistry(fault: RedisUnavailable): boolean {
  return isNotThePrimary(fault) || fault.code === "MOVED" || fault.code === "CLUSTERDOWN";
}

/** A server that does not know a command quotes its arguments, which may be credentials. */
const QUOTED_ARGUMENTS = /, with args beginning with:.*/s;

/** The error without quoted arguments, in its message and its stack. */
function withoutArguments(error: Error): Error {
  if (!QUOTED_ARGUMENTS.test(error.message)) return error;
  const clean = new Error(error.message.replace(QUOTED_ARGUMENTS, ""));
  clean.name = error.name;
  return clean;
}

/** The only place that converts errors of ioredis. */
export function toRedisUnavailable(error: unknown): RedisUnavailable {
  if (error instanceof RedisUnavailable) return error;
  if (!(error instanceof Error)) return new RedisUnavailable("connection", String(error), { cause: error });
  if (error.name === "ReplyError") return fromReply(withoutArguments(error));
  if (error.message === "Command timed out") return timedOut("Redis", error);
  const rejectedSetting = tlsRejection(error, "REDIS_TLS or rediss://: TLS with Redis");
  return new RedisUnavailable("connection", `Redis cannot be reached: ${error.message}`, {
    cause: error,
    ...(rejectedSetting !== undefined && { rejectedSetting }),
  });
}

/**
 * The same for a Sentinel.
 * @param address of the Sentinel, as `host:port`
 */
export function toSentinelUnavailable(raw: unknown, address: string): RedisUnavailable {
  if (!(raw instanceof Error)) return toRedisUnavailable(raw);
  const error = withoutArguments(raw);
  const isReply = error.name === "ReplyError";
  const rejectedSetting = isReply
    ? sentinelRejection(error.message, address)
    : tlsRejection(error, `REDIS_SENTINEL_TLS: TLS with the Sentinel ${address}`);
  const problem = error.message === "Command timed out" ? "it did not respond in time" : error.message;
  return new RedisUnavailable(isReply ? "reply" : "connection", `Sentinel ${address}: ${problem}`, {
    cause: error,
    ...(rejectedSetting !== undefined && { rejectedSetting }),
  });
}

/**
 * The same for a node of a Cluster that is asked for its map.
 * @param address of the node, as `host:port`
 */
export function toClusterUnavailable(raw: unknown, address: string): RedisUnavailable {
  const { kind, message, code, rejectedSetting, cause } = toRedisUnavailable(raw);
  return new RedisUnavailable(kind, `Cluster node ${address}: ${message}`, {
    cause,
    ...(code !== undefined && { code }),
    ...(rejectedSetting !== undefined && { rejectedSetting }),
  });
}

function sentinelRejection(message: string, address: string): string | undefined {
  if (/^(?:LOADING|BUSY)|max number of clients/i.test(message)) return undefined;
  if (/without any password configured|no password is set/.test(message))
    return `REDIS_SENTINEL_PASSWORD: a password is given, and the Sentinel ${address} has none`;
  if (/^(?:WRONGPASS|NOAUTH)/.test(message))
    return `REDIS_SENTINEL_PASSWORD or REDIS_SENTINEL_USERNAME: the Sentinel ${address} does not accept them (${message})`;
  if (/^NOPERM|can't run this command|no permissions?/i.test(message))
    return `REDIS_SENTINEL_USERNAME: the ACL of this user must be that of deploy/redis/sentinel.acl (${message})`;
  return `REDIS_SENTINELS or REDIS_URL: ${address} is not a Sentinel (${message})`;
}

/** Before version 7, Redis puts the error of a command in a script behind the script's own error. */
const IN_SCRIPT = /^ERR Error running script .*@user_script: ?\d+: -?(?=[A-Z]{2,} )/s;

function fromReply(error: Error): RedisUnavailable {
  const message = error.message.replace(IN_SCRIPT, "");
  const code = /^[A-Z]+/.exec(message)?.[0];
  const rejectedSetting = replyRejection(code, message);
  return new RedisUnavailable("reply", `Redis answered with an error: ${message}`, {
    cause: error,
    ...(code && { code }),
    ...(rejectedSetting !== undefined && { rejectedSetting }),
  });
}

function replyRejection(code: string | undefined, message: string): string | undefined {
  if ((code !== undefined && TEMPORARY_CODES.has(code)) || /max number of clients/i.test(message))
    return undefined;
  if (code === "WRONGPASS" || code === "NOAUTH")
    return `REDIS_PASSWORD, REDIS_USERNAME or REDIS_URL: Redis does not accept them (${message})`;
  if (code === "NOPERM" || /can't run this command|no permissions?/i.test(message))
    return `REDIS_USERNAME or REDIS_URL: the ACL of this user must be that of deploy/redis/latchkey.acl, or cluster.acl on every node of a Cluster (${message})`;
  return `REDIS_URL or REDIS_HOST: this Redis cannot be used (${message})`;
}

/** Node's codes for OpenSSL's verification errors (`X509_V_ERR_…`), and for a server without TLS. */
const TLS_CODES =
  /CERT|SELF_SIGNED|UNABLE_TO_|SIGNATURE|HOSTNAME_MISMATCH|^CRL_|^ERR_(?:SSL|TLS|OSSL)_|^EPROTO$/;

/** @param what the setting and the peer, as in "REDIS_TLS: TLS with Redis" */
function tlsRejection(error: Error, what: string): string | undefined {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (!TLS_CODES.test(code)) return undefined;
  return `${what} fails (${code}): name a private authority in REDIS_CA`;
}
