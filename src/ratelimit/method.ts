import type { UnaryMethod } from "../grpc/transport.ts";

const PATH = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/**
 * The method table entry of ShouldRateLimit. A call that cannot be received gets a response, because by default Envoy lets a
 * request through after a gRPC error.
 */
export function shouldRateLimitMethod(handle: UnaryMethod["handle"]): UnaryMethod {
  return { path: PATH, handle, handlesInvalid: true };
}
