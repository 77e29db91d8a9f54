import { fileURLToPath } from "node:url";
import type { MethodDefinition } from "@grpc/proto-loader";
import { loadSync } from "@grpc/proto-loader";
import type { CheckResponse } from "../src/ext-authz/messages.ts";
import type {
  HealthCheckRequest,
  HealthCheckResponse,
  ReflectionRequest,
  ReflectionResponse,
} from "../src/grpc/proto.ts";

/** Enums are numbers, and 64-bit numbers are text. */
export interface RateLimitResponse {
  readonly overall_code: number;
  readonly statuses: readonly {
    readonly code: number;
    readonly current_limit: {
      readonly name: string;
      readonly requests_per_unit: number;
      readonly unit: number;
    } | null;
    readonly limit_remaining: number;
    readonly duration_until_reset: { readonly seconds: string } | null;
  }[];
}

interface Services {
  readonly "envoy.service.auth.v3.Authorization": {
    readonly Check: MethodDefinition<object, CheckResponse, object>;
  };
  readonly "envoy.service.ratelimit.v3.RateLimitService": {
    readonly ShouldRateLimit: MethodDefinition<object, RateLimitResponse, object>;
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

const protoFiles = ["ext_authz.proto", "health.proto", "ratelimit.proto", "reflection.proto"].map((name) =>
  fileURLToPath(new URL(`../proto/${name}`, import.meta.url)),
);
// proto-loader does not type messages. Tests check that these types agree with the files.
const services = loadSync(protoFiles, {
  keepCase: true,
  longs: String,
  defaults: true,
}) as object as Services;

/** The services of proto/ in protobufjs. Clients of tests and benchmarks use them, and tests compare our own codecs with them. */
export const CHECK_METHOD = services["envoy.service.auth.v3.Authorization"].Check;
export const RATE_LIMIT_METHOD = services["envoy.service.ratelimit.v3.RateLimitService"].ShouldRateLimit;
export const HEALTH_SERVICE = services["grpc.health.v1.Health"];
export const REFLECTION_SERVICE = services["grpc.reflection.v1.ServerReflection"];

/** All definitions of the files by full name: services with their methods, messages, enums. */
export const DEFINITIONS: Readonly<Record<string, object>> = services as object as Record<string, object>;

/** Encodes a Check as Envoy does. Omitted fields are not on the wire. */
export function encodeCheckRequest(request: object): Buffer {
  return CHECK_METHOD.requestSerialize(request);
}

export function decodeCheckResponse(bytes: Uint8Array): CheckResponse {
  return CHECK_METHOD.responseDeserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}
