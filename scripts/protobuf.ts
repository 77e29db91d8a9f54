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

const protoFiles = ["ext_authz.proto", "health.proto", "reflection.proto"].map((name) =>
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
