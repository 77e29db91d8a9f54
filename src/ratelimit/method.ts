import type { UnaryMethod } from "../grpc/transport.ts";

export const SHOULD_RATE_LIMIT_PATH = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/**
 * The method table entry of ShouldRateLimit. A call that cannot be received gets a response, because by default Envoy lets a
 * request through after a gRPC error.
 */
export function shouldRateLimitMethod(handle: UnaryMethod["handle"]): UnaryMethod {
  return { path: SHOULD_RATE_LIMIT_PATH, handle, handlesInvalid: true };
}
