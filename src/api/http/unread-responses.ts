import type { FastifyInstance } from "fastify";
import { retryAfterOf } from "../../core/limits/retry-after.ts";
import { PROBLEM_MEDIA_TYPE, PROBLEMS, problemText } from "./problem.ts";

/** Responses up to this size are always sent: readiness, problems, single keys. */
const SMALL_BYTES = 16 * 1024;
/** Maximum bytes of larger responses that clients have not read yet, per listener. */
const MAX_UNREAD_BYTES = 32 * 1024 * 1024;

/** Bounds the memory that clients can occupy by not reading. Above the bound, a large response becomes 503. */
export function boundUnreadResponses(server: FastifyInstance): void {
  let unreadBytes = 0;
  server.addHook("onSend", (_request, reply, payload, done) => {
    const bytes = typeof payload === "string" ? Buffer.byteLength(payload) : 0;
    // If the client has disconnected, no close event will follow that could subtract the bytes.
    if (bytes <= SMALL_BYTES || reply.raw.closed) return done(null, payload);
    if (unreadBytes + bytes > MAX_UNREAD_BYTES) {
      const { status } = PROBLEMS.too_many_unread_responses;
      reply
        .code(status)
        .header("retry-after", String(retryAfterOf(status, undefined)))
        .type(PROBLEM_MEDIA_TYPE)
        .removeHeader("content-length");
      return done(null, problemText("too_many_unread_responses"));
    }
    unreadBytes += bytes;
    reply.raw.once("close", () => {
      unreadBytes -= bytes;
    });
    return done(null, payload);
  });
}
