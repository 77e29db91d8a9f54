import { readDescriptors } from "./descriptors.ts";
import type { ReflectionRequest, ReflectionResponse } from "./proto.ts";
import { decodeReflectionRequest, encodeReflectionResponse } from "./reflection-messages.ts";
import { RPC_STATUS } from "./status.ts";

const descriptors = readDescriptors();
const files = new Map(descriptors.map((file) => [file.name, file.bytes]));
const fileNames = new Map(
  descriptors.flatMap(({ name, symbols }) => symbols.map((symbol) => [symbol, name])),
);
const services = descriptors
  .flatMap((file) => file.services)
  .toSorted()
  .map((name) => ({ name }));

type ReflectionResult = Omit<ReflectionResponse, "original_request">;

/** Describes what this listener serves (gRPC server reflection), for tools such as grpcurl. Serves our proto files only. */
export function reflect(request: ReflectionRequest): ReflectionResponse {
  return { original_request: request, ...responseTo(request) };
}

/** The same for encoded messages. Throws a RangeError if the request does not decode. */
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
  const fileName = symbol === undefined ? undefined : definingFile(symbol);
  return fileName === undefined ? notFound("symbol") : fileNamed(fileName);
}

/** The file that defines a service or type, or the one that encloses the symbol. The client finds the symbol in the file. */
function definingFile(symbol: string): string | undefined {
  for (let end = symbol.length; end > 0; end = symbol.lastIndexOf(".", end - 1)) {
    const fileName = fileNames.get(symbol.slice(0, end));
    if (fileName !== undefined) return fileName;
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
