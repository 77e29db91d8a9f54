import { readDescriptors } from "./descriptors.ts";
import type { ReflectionRequest, ReflectionResponse } from "./proto.ts";
import { decodeReflectionRequest, encodeReflectionResponse } from "./reflection-messages.ts";
import { RPC_STATUS } from "./status.ts";

const described = readDescriptors();
const files = new Map(described.map((file) => [file.name, file.bytes]));
const homes = new Map(described.flatMap(({ name, symbols }) => symbols.map((symbol) => [symbol, name])));
const services = described
  .flatMap((file) => file.services)
  .toSorted()
  .map((name) => ({ name }));

type ReflectionResult = Omit<ReflectionResponse, "original_request">;

/** Says what this listener serves (gRPC server reflection): for people with grpcurl. It holds our proto files and nothing else. */
export function reflect(request: ReflectionRequest): ReflectionResponse {
  return { original_request: request, ...responseTo(request) };
}

/** The same on the wire. Throws on bytes that are no request. */
export function reflectBytes(bytes: Buffer): Buffer {
  return encodeReflectionResponse(reflect(decodeReflectionRequest(bytes)));
}

function responseTo({
  list_services,
  file_by_filename,
  file_containing_symbol: symbol,
}: ReflectionRequest): ReflectionResult {
  if (list_services !== undefined) return { list_services_response: { service: services } };
  if (file_by_filename !== undefined) return fileNamed(file_by_filename);
  const home = symbol === undefined ? undefined : homeOf(symbol);
  return home === undefined ? notFound("symbol") : fileNamed(home);
}

/** Where a service or type is defined, or something within one: what exactly, the client reads in the file. */
function homeOf(symbol: string): string | undefined {
  for (let end = symbol.length; end > 0; end = symbol.lastIndexOf(".", end - 1)) {
    const home = homes.get(symbol.slice(0, end));
    if (home !== undefined) return home;
  }
  return undefined;
}

function fileNamed(name: string): ReflectionResult {
  const file = files.get(name);
  if (file === undefined) return notFound("file");
  return { file_descriptor_response: { file_descriptor_proto: [file] } };
}

function notFound(what: "file" | "symbol"): ReflectionResult {
  return { error_response: { error_code: RPC_STATUS.NOT_FOUND, error_message: `no such ${what}` } };
}
