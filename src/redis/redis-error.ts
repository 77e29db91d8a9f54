/** How Redis failed us: no connection, no answer in time, or an answer that is an error. */
export type RedisFaultKind = "connection" | "timeout" | "reply";

/** Redis could not be asked. A command that timed out, or whose connection broke, may have been carried out all the same. */
export class RedisUnavailable extends Error {
  override readonly name = "RedisUnavailable";
  readonly kind: RedisFaultKind;
  /** The first word of Redis's own error, such as `READONLY` or `OOM`. */
  readonly code?: string;

  constructor(
    kind: RedisFaultKind,
    message: string,
    options: { readonly code?: string; readonly cause: unknown },
  ) {
    super(message, { cause: options.cause });
    this.kind = kind;
    if (options.code !== undefined) this.code = options.code;
  }
}

/** The one place where ioredis's errors become ours. */
export function toRedisUnavailable(error: unknown): RedisUnavailable {
  if (!(error instanceof Error)) return new RedisUnavailable("connection", String(error), { cause: error });
  if (error.name === "ReplyError") {
    const code = /^[A-Z]+/.exec(error.message)?.[0];
    return new RedisUnavailable("reply", `Redis answered with an error: ${error.message}`, {
      cause: error,
      ...(code && { code }),
    });
  }
  if (error.message === "Command timed out") {
    return new RedisUnavailable("timeout", "Redis did not answer in time", { cause: error });
  }
  return new RedisUnavailable("connection", `Redis cannot be reached: ${error.message}`, { cause: error });
}
