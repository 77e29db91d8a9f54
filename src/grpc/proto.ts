export const HEALTH_PATHS = {
  check: "/grpc.health.v1.Health/Check",
  watch: "/grpc.health.v1.Health/Watch",
} as const;

/** The method of gRPC server reflection, under its present name and the name that some clients still use. */
export const REFLECTION_PATHS = [
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
] as const;

export interface HealthCheckRequest {
  /** Empty: the whole server. */
  readonly service: string;
}

export interface HealthCheckResponse {
  /** UNKNOWN 0, SERVING 1, NOT_SERVING 2, SERVICE_UNKNOWN 3. */
  readonly status: 0 | 1 | 2 | 3;
}

/** One query about what the listener serves. At most one of the fields beside `host` is set (a oneof). */
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
