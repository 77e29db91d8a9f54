import type { UnaryMethod } from "../grpc/transport.ts";

/** The one gRPC method that Envoy calls. */
export const CHECK_PATH = "/envoy.service.auth.v3.Authorization/Check";

/**
 * The method table entry of Check. A Check that cannot be received is denied by a CheckResponse, because Envoy may let a
 * request through after a gRPC error (`failure_mode_allow`).
 */
export function checkMethod(check: UnaryMethod["handle"]): UnaryMethod {
  return { path: CHECK_PATH, handle: check, handlesInvalid: true };
}
