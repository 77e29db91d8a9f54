import type { UnaryMethod } from "../grpc/transport.ts";
import { decodeCheckRequest } from "./check-request-decoder.ts";
import { encodeCheckResponse } from "./check-response-encoder.ts";
import type { CheckPorts } from "./decide.ts";
import { createDecide } from "./decide.ts";
import { createResponseEncoder } from "./response-cache.ts";
import type { TicketIssuer } from "./ticket-fragment.ts";

/**
 * Decides one Check: bytes of a CheckRequest to bytes of a CheckResponse. A message that could not be received is denied. Never
 * throws and never rejects, because Envoy may let a request through after a gRPC error.
 */
export type Check = UnaryMethod["handle"];

/** Code 13 (INTERNAL) and HTTP 503. */
const FALLBACK_DENIAL = encodeCheckResponse({
  status: { code: 13 },
  denied_response: { status: { code: 503 } },
});

export function createCheck(ports: CheckPorts, tickets?: TicketIssuer): Check {
  return createDecide<Uint8Array, Uint8Array>(ports, {
    decode: decodeCheckRequest,
    encode: createResponseEncoder(tickets),
    fallback: FALLBACK_DENIAL,
  });
}
