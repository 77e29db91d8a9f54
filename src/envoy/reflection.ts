import { readFileSync } from "node:fs";
import type { ReflectionRequest, ReflectionResponse } from "./proto.ts";
import { DEFINITIONS, REFLECTION_SERVICE } from "./proto.ts";
import { RPC_STATUS } from "./rpc-status.ts";

/** The two names of the one method: clients ask by the new one, some still by the old. */
export const REFLECTION_PATHS = [
  REFLECTION_SERVICE.ServerReflectionInfo.path,
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
] as const;

/** The proto files compiled by protoc (`node scripts/descriptors.ts`), for protobufjs's own descriptors are no good for maps. */
const DESCRIPTORS = new URL("../../proto/descriptors.pb", import.meta.url);
const HOMES = {
  "envoy.service.auth.v3": "ext_authz.proto",
  "grpc.health.v1": "health.proto",
  "grpc.reflection.v1": "reflection.proto",
} as const;

const files = readFiles();

type Answer = Omit<ReflectionResponse, "original_request">;

/** Says what this door serves (gRPC server reflection): for people with grpcurl. It holds our proto files and nothing else. */
export function reflect(request: ReflectionRequest): ReflectionResponse {
  return { original_request: request, ...answerTo(request) };
}

/** The same on the wire. Throws on bytes that are no request. */
export function reflectBytes(bytes: Buffer): Buffer {
  const { requestDeserialize, responseSerialize } = REFLECTION_SERVICE.ServerReflectionInfo;
  return responseSerialize(reflect(requestDeserialize(bytes)));
}

function answerTo({
  list_services,
  file_by_filename,
  file_containing_symbol: symbol,
}: ReflectionRequest): Answer {
  if (list_services !== undefined)
    return { list_services_response: { service: servicesOf().map(([name]) => ({ name })) } };
  if (file_by_filename !== undefined) return fileNamed(file_by_filename);
  const [, home] = Object.entries(HOMES).find(([name]) => symbol?.startsWith(`${name}.`)) ?? [];
  return home !== undefined && symbol !== undefined && isDefined(symbol)
    ? fileNamed(home)
    : notFound("symbol");
}

function servicesOf() {
  return Object.entries(DEFINITIONS).filter(([, defined]) => !("format" in defined));
}

/** A service or message of ours, or something within one: what exactly, the client reads in the file. */
function isDefined(symbol: string): boolean {
  return symbol
    .split(".")
    .some((_, index, parts) => Object.hasOwn(DEFINITIONS, parts.slice(0, index + 1).join(".")));
}

function fileNamed(name: string): Answer {
  const file = files.get(name);
  if (file === undefined) return notFound("file");
  return { file_descriptor_response: { file_descriptor_proto: [file] } };
}

function notFound(what: "file" | "symbol"): Answer {
  return { error_response: { error_code: RPC_STATUS.NOT_FOUND, error_message: `no such ${what}` } };
}

/** A FileDescriptorSet is field 1 again and again; each file begins with its name, which is its own field 1. */
function readFiles(): ReadonlyMap<string, Uint8Array> {
  const bytes = readFileSync(DESCRIPTORS);
  const files = new Map<string, Uint8Array>();
  for (let at = 0; at < bytes.length; ) {
    const { value: length, end: start } = readVarint(bytes, at + 1);
    const file = bytes.subarray(start, start + length);
    const name = readVarint(file, 1);
    files.set(file.toString("utf8", name.end, name.end + name.value), file);
    at = start + length;
  }
  return files;
}

function readVarint(bytes: Buffer, at: number): { readonly value: number; readonly end: number } {
  let value = 0;
  let end = at;
  for (let shift = 0; ; shift += 7, end++) {
    const byte = bytes.readUInt8(end);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return { value, end: end + 1 };
  }
}
