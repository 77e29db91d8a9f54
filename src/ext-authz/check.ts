import type { UnaryMethod } from "../grpc/transport.ts";
import { decodeCheckRequest } from "./check-request-decoder.ts";
import { encodeCheckResponse } from "./check-response-encoder.ts";
import type { CheckPorts } from "./decide.ts";
import { createDecide } from "./decide.ts";
import { CHECK_PATH } from "./method.ts";
import type { ResponseObserver } from "./observed-encoder.ts";
import { createObservedEncoder } from "./observed-encoder.ts";
import { createResponseEncoder } from "./response-cache.ts";
import type { TicketIssuer } from "./ticket-fragment.ts";

/**
 * Decides one Check: bytes of a CheckRequest to bytes of a CheckResponse. A message that could not be received is denied. Never
 * throws and never rejects, because Envoy may let a request through after a gRPC error.
 */
export type Check = UnaryMethod["handle"];

/** OpenTelemetry's name for a gRPC call: its path without the first slash. */
const OPERATION = CHECK_PATH.slice(1);

/** Code 13 (INTERNAL) and HTTP 503. */
const FALLBACK_DENIAL = encodeCheckResponse({
  status: { code: 13 },
  denied_response: { status: { code: 503 } },
});

export interface CheckOptions {
  readonly tickets?: TicketIssuer;
  /** Takes each response, for the shadow. */
  readonly observer?: ResponseObserver | undefined;
}

export function createCheck(ports: CheckPorts, { tickets, observer }: CheckOptions = {}): Check {
  return createDecide<Uint8Array, Uint8Array>(ports, {
    operation: () => OPERATION,
    decode: decodeCheckRequest,
    encode:
      observer === undefined ? createResponseEncoder(tickets) : createObservedEncoder(observer, tickets),
    fallback: FALLBACK_DENIAL,
  });
}
