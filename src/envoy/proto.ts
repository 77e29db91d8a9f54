import { fileURLToPath } from "node:url";
import type { MethodDefinition } from "@grpc/proto-loader";
import { loadSync } from "@grpc/proto-loader";
import type { CheckResponse } from "./messages.ts";

/** The wire path of the one call that Envoy makes. */
export const CHECK_PATH = "/envoy.service.auth.v3.Authorization/Check";

export interface HealthCheckRequest {
  /** Empty: the server as a whole. */
  readonly service: string;
}

export interface HealthCheckResponse {
  /** UNKNOWN 0, SERVING 1, NOT_SERVING 2, SERVICE_UNKNOWN 3. */
  readonly status: 0 | 1 | 2 | 3;
}

/** One question about what the door serves. */
export interface ReflectionRequest {
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

interface Services {
  readonly "envoy.service.auth.v3.Authorization": {
    readonly Check: MethodDefinition<object, CheckResponse, object>;
  };
  readonly "grpc.health.v1.Health": {
    readonly Check: MethodDefinition<HealthCheckRequest, HealthCheckResponse>;
    readonly Watch: MethodDefinition<HealthCheckRequest, HealthCheckResponse>;
  };
  readonly "grpc.reflection.v1.ServerReflection": {
    readonly ServerReflectionInfo: MethodDefinition<
      ReflectionRequest,
      ReflectionResponse,
      ReflectionRequest,
      ReflectionResponse
    >;
  };
}

// proto/ lies beside src/ and beside dist/.
const protoFiles = ["ext_authz.proto", "health.proto", "reflection.proto"].map((name) =>
  fileURLToPath(new URL(`../../proto/${name}`, import.meta.url)),
);
// proto-loader knows no message by name; that these types are the files' is what the tests hold.
const services = loadSync(protoFiles, {
  keepCase: true,
  longs: String,
  defaults: true,
}) as object as Services;
/** Encodes and decodes the messages of Check. */
export const CHECK_METHOD = services["envoy.service.auth.v3.Authorization"].Check;

const asItIs = (bytes: Buffer): Buffer => bytes;

/**
 * The service for a gRPC server, with bytes in and bytes out: its handler decodes for itself, so that a message
 * which does not decode becomes a denial. As a gRPC error Envoy could be set to let it through.
 */
export const AUTHORIZATION_SERVICE = {
  Check: {
    path: CHECK_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  },
} as const;

export const HEALTH_SERVICE = services["grpc.health.v1.Health"];
export const REFLECTION_SERVICE = services["grpc.reflection.v1.ServerReflection"];

/** Everything that the files define, by full name: services with their methods, messages, enums. */
export const DEFINITIONS: Readonly<Record<string, object>> = services as object as Record<string, object>;
