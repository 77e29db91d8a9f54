import fc from "fast-check";
import { expect, test } from "vitest";
import { DEFINITIONS, HEALTH_SERVICE, REFLECTION_SERVICE } from "../../scripts/protobuf.ts";
import { readDescriptors } from "./descriptors.ts";
import { decodeHealthRequest, encodeHealthResponse } from "./health-messages.ts";
import type { ReflectionRequest, ReflectionResponse } from "./proto.ts";
import { HEALTH_PATHS, REFLECTION_PATHS } from "./proto.ts";
import { decodeReflectionRequest, encodeReflectionResponse } from "./reflection-messages.ts";

const byProtobufjs = REFLECTION_SERVICE.ServerReflectionInfo;
const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ maxLength: 300 }));
const reflectionRequest: fc.Arbitrary<ReflectionRequest> = fc
  .tuple(
    fc.option(text, { nil: undefined }),
    fc.constantFrom("file_by_filename", "file_containing_symbol", "list_services", undefined),
    text,
  )
  .map(([host, name, query]) => ({
    ...(host !== undefined && { host }),
    ...(name !== undefined && { [name]: query }),
  }));
const response: fc.Arbitrary<Omit<ReflectionResponse, "original_request">> = fc.oneof(
  fc.array(fc.uint8Array({ maxLength: 400 })).map((files) => ({
    file_descriptor_response: { file_descriptor_proto: files.map((file) => Buffer.from(file)) },
  })),
  fc.array(text).map((names) => ({
    list_services_response: { service: names.map((name) => ({ name })) },
  })),
  fc.tuple(fc.nat(), text).map(([error_code, error_message]) => ({
    error_response: { error_code, error_message },
  })),
);

/** An empty host is equal to an absent one. */
const withoutEmptyHost = ({ host, ...query }: ReflectionRequest) => (host ? { host, ...query } : query);

/** Unknown fields of each wire type. */
const unknown = fc.constantFrom(
  Buffer.alloc(0),
  Buffer.from([0x78, 0x96, 0x01]),
  Buffer.from([0x7a, 0x02, 0x0a, 0x01]),
  Buffer.from([0x7d, 1, 2, 3, 4]),
  Buffer.from([0x79, 1, 2, 3, 4, 5, 6, 7, 8]),
);

test("health messages are encoded to the bytes of protobufjs, and decoded to its objects", () => {
  for (const status of [0, 1, 2, 3] as const)
    expect(encodeHealthResponse({ status })).toEqual(HEALTH_SERVICE.Check.responseSerialize({ status }));
  fc.assert(
    fc.property(text, unknown, (service, more) => {
      const bytes = Buffer.concat([HEALTH_SERVICE.Check.requestSerialize({ service }), more]);
      expect(decodeHealthRequest(bytes)).toEqual(HEALTH_SERVICE.Check.requestDeserialize(bytes));
    }),
  );
});

test("reflection messages are encoded to the bytes of protobufjs, and decoded to its objects", () => {
  fc.assert(
    fc.property(reflectionRequest, response, unknown, (request, rest, more) => {
      const response = { original_request: request, ...rest };
      expect(encodeReflectionResponse(response)).toEqual(byProtobufjs.responseSerialize(response));
      const bytes = Buffer.concat([byProtobufjs.requestSerialize(request), more]);
      expect(decodeReflectionRequest(bytes)).toEqual(
        withoutEmptyHost(byProtobufjs.requestDeserialize(bytes)),
      );
    }),
  );
});

test("any bytes are a message or cause a RangeError", () => {
  for (const decode of [decodeHealthRequest, decodeReflectionRequest]) {
    expect(() => decode(Buffer.from([0x0a, 0x05, 0x61]))).toThrow(RangeError);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  }
});

test("the paths are those of the methods in the proto files", () => {
  expect(HEALTH_PATHS).toEqual({ check: HEALTH_SERVICE.Check.path, watch: HEALTH_SERVICE.Watch.path });
  expect(REFLECTION_PATHS[0]).toBe(byProtobufjs.path);
});

test("the compiled files define the same services and types as the proto files", () => {
  const ours = readDescriptors().filter(({ name }) => !name.startsWith("google/"));
  const symbols = Object.keys(DEFINITIONS).filter((name) => !name.startsWith("google."));
  expect(ours.flatMap((file) => file.symbols).toSorted()).toEqual(symbols.toSorted());
  const services = Object.keys(DEFINITIONS).filter((name) => !("format" in Object(DEFINITIONS[name])));
  expect(ours.flatMap((file) => file.services).toSorted()).toEqual(services.toSorted());
});
