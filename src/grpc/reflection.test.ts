import { describe, expect, test } from "vitest";
import { REFLECTION_SERVICE } from "../../scripts/protobuf.ts";
import { reflect, reflectBytes } from "./reflection.ts";

const { requestSerialize, responseDeserialize } = REFLECTION_SERVICE.ServerReflectionInfo;

describe("server reflection", () => {
  test("lists the services by name", () => {
    expect(reflect({ list_services: "" }).list_services_response?.service).toEqual([
      { name: "envoy.service.auth.v3.Authorization" },
      { name: "envoy.service.ratelimit.v3.RateLimitService" },
      { name: "grpc.health.v1.Health" },
      { name: "grpc.reflection.v1.ServerReflection" },
    ]);
  });

  test.each([
    "envoy.service.auth.v3.Authorization",
    "envoy.service.auth.v3.Authorization.Check",
    "envoy.service.auth.v3.AttributeContext.HttpRequest",
    "envoy.service.ratelimit.v3.RateLimitDescriptor.Entry",
    "grpc.health.v1.HealthCheckResponse.ServingStatus",
    "grpc.reflection.v1.ServerReflection.ServerReflectionInfo",
  ])("returns the file of %s, encoded as well", (file_containing_symbol) => {
    const response = reflect({ file_containing_symbol });
    expect(response.file_descriptor_response?.file_descriptor_proto).toHaveLength(1);
    const bytes = reflectBytes(requestSerialize({ file_containing_symbol }));
    expect(responseDeserialize(bytes)).toMatchObject({
      original_request: { file_containing_symbol },
      file_descriptor_response: response.file_descriptor_response,
    });
  });

  test("returns every file that another one imports", () => {
    for (const name of ["any", "duration", "struct", "timestamp", "wrappers"]) {
      const response = reflect({ file_by_filename: `google/protobuf/${name}.proto` });
      expect(response.file_descriptor_response?.file_descriptor_proto).toHaveLength(1);
    }
  });

  test.each([
    { file_by_filename: "../package.json" },
    { file_by_filename: "" },
    { file_containing_symbol: "envoy.service.auth.v3.Nothing" },
    { file_containing_symbol: "envoy.service.auth.v3.constructor" },
    { file_containing_symbol: "constructor" },
    { file_containing_symbol: "" },
    {},
  ])("returns NOT_FOUND for %j", (request) => {
    expect(reflect(request).error_response).toMatchObject({ error_code: 5 });
  });
});
