import type { FastifyInstance, FastifyRequest } from "fastify";
import type { CompletedCall } from "../../core/audit/ports.ts";
import { isKeyId } from "../../core/keys/key-record.ts";
import type { ProblemName } from "./problem.ts";
import { addressOf } from "./request-facts.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The path of the endpoint. */
    readonly path?: string;
    /** Whether its handler parses the body. */
    readonly receivesText?: true;
  }
  interface FastifyRequest {
    /** The caller, as far as it has been authenticated. */
    actor: string;
  }
  interface FastifyReply {
    /** The problem in the response. */
    problem: ProblemName | undefined;
  }
}

/** Calls `onCompletedCall` after each response. */
export function reportCompletedCalls(
  server: FastifyInstance,
  trustedHops: number,
  onCompletedCall: (call: CompletedCall) => void,
): void {
  server.decorateRequest("actor", "anonymous");
  server.decorateReply("problem", undefined);
  server.addHook("onResponse", async (request, reply) => {
    const { path } = request.routeOptions.config;
    const keyId = keyIdOf(request);
    onCompletedCall({
      method: request.method,
      ...(path !== undefined && { route: path }),
      status: reply.statusCode,
      elapsedMs: reply.elapsedTime,
      requestId: request.id,
      actor: request.actor,
      address: addressOf(request, { trustedHops }),
      ...(keyId !== undefined && { keyId }),
      ...(reply.problem !== undefined && { problem: reply.problem }),
      traceparent: request.raw.headersDistinct["traceparent"] ?? [],
    });
  });
}

function keyIdOf({ params }: FastifyRequest): string | undefined {
  const { key_id: keyId }: { key_id?: unknown } = Object(params);
  return typeof keyId === "string" && isKeyId(keyId) ? keyId : undefined;
}
