/** The wire path of the one call that Envoy makes. */
export const CHECK_PATH = "/envoy.service.auth.v3.Authorization/Check";

export const HEALTH_PATHS = {
  check: "/grpc.health.v1.Health/Check",
  watch: "/grpc.health.v1.Health/Watch",
} as const;

/** The two names of the one method of gRPC server reflection: clients ask by the new one, some still by the old. */
export const REFLECTION_PATHS = [
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
] as const;

export interface HealthCheckRequest {
  /** Empty: the server as a whole. */
  readonly service: string;
}

export interface HealthCheckResponse {
  /** UNKNOWN 0, SERVING 1, NOT_SERVING 2, SERVICE_UNKNOWN 3. */
  readonly status: 0 | 1 | 2 | 3;
}

/** One question about what the listener serves. At most one of the fields beside `host` is set (a oneof). */
export interface ReflectionRequest {
  readonly host?: string;
  readonly file_by_filename?: string;
  readonly file_containing_symbol?: string;
  readonly list_services?: string;
}

export interface ReflectionResponse {
  readonly original_request: ReflectionRequest;
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Uint8Array[] };
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly error_response?: { readonly error_code: number; readonly error_message: string };
}

const identity = (bytes: Buffer): Buffer => bytes;

/**
 * The service for a gRPC server, with bytes in and bytes out: its handler decodes for itself, so that a message
 * which does not decode becomes a denial. As a gRPC error Envoy could be set to let it through.
 */
export const AUTHORIZATION_SERVICE = {
  Check: {
    path: CHECK_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
} as const;
