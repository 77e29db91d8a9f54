import cors from "@fastify/cors";
import type { FastifyInstance } from "fastify";

/** Allows pages of these origins to call. Cookies are not allowed, because the key comes in a header. */
export async function allowOrigins(server: FastifyInstance, origins: readonly string[]): Promise<void> {
  // The plugin would handle every OPTIONS request. One that is no preflight (Fetch §4.8) is a method like any other.
  server.addHook("onRequest", async ({ method, headers }, reply) => {
    const preflight = headers.origin !== undefined && headers["access-control-request-method"] !== undefined;
    if (method !== "OPTIONS" || preflight) return;
    reply.callNotFound();
    return reply;
  });
  await server.register(cors, {
    origin: [...origins],
    methods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    allowedHeaders: ["authorization", "x-api-key", "content-type", "idempotency-key", "accept-key-version"],
    exposedHeaders: [
      "retry-after",
      "link",
      "deprecation",
      "sunset",
      "x-latchkey-upgrade",
      "x-latchkey-reason",
    ],
    maxAge: 600,
  });
}
