import { fileURLToPath } from "node:url";
import type { MethodDefinition, PackageDefinition } from "@grpc/proto-loader";
import { loadSync } from "@grpc/proto-loader";

/** A codec of one method that protobufjs derives from the proto files. Both functions throw if a message does not fit. */
export interface ReferenceCodec {
  /** Fields have their names in the proto file. Absent fields have their default, and absent messages are null. */
  decodeRequest(message: Buffer): object;
  decodeResponse(message: Buffer): object;
  encodeResponse(response: object): Buffer;
}

/** The folder `proto` is beside both `src` and `dist`. */
const PROTO_FILES = ["ext_authz.proto", "ratelimit.proto"].map((name) =>
  fileURLToPath(new URL(`../../proto/${name}`, import.meta.url)),
);

/** The codecs of proto/, by `/package.Service/Method`. Throws where Node may not generate code from strings. */
export function loadReferenceCodecs(): ReadonlyMap<string, ReferenceCodec> {
  const definitions = loadSync(PROTO_FILES, { keepCase: true, longs: String, defaults: true });
  return new Map(methodsOf(definitions).map((method) => [method.path, codecOf(method)]));
}

function methodsOf(definitions: PackageDefinition): MethodDefinition<object, object>[] {
  return Object.values(definitions).flatMap((definition) =>
    "format" in definition ? [] : Object.values(definition),
  );
}

function codecOf(method: MethodDefinition<object, object>): ReferenceCodec {
  return {
    decodeRequest: method.requestDeserialize,
    decodeResponse: method.responseDeserialize,
    encodeResponse: method.responseSerialize,
  };
}
