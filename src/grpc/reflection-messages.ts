import type { ReflectionRequest, ReflectionResponse } from "./proto.ts";
import type { ProtobufReader } from "./protobuf-reader.ts";
import { openReader, readMessage, readText } from "./protobuf-reader.ts";
import type { ByteString } from "./protobuf-writer.ts";
import { field, numberField, textField, toBytes } from "./protobuf-writer.ts";

type Query = Exclude<keyof ReflectionRequest, "host">;

/** Length-delimited fields of ServerReflectionRequest, by tag. */
const QUERIES: ReadonlyMap<number, Query> = new Map([
  [0x1a, "file_by_filename"],
  [0x22, "file_containing_symbol"],
  [0x3a, "list_services"],
]);
const FIELD_NUMBERS = { file_by_filename: 3, file_containing_symbol: 4, list_services: 7 } as const;
const HOST = 0x0a;

/**
 * Reads the fields that proto/reflection.proto defines. The last of several members of the oneof counts, as protobuf
 * requires. Throws a RangeError if the message does not decode.
 */
export function decodeReflectionRequest(message: Uint8Array): ReflectionRequest {
  const request: { host: string; query: ReflectionRequest } = { host: "", query: {} };
  readMessage(openReader(message), message.length, request, readRequestField);
  return request.host === "" ? request.query : { host: request.host, ...request.query };
}

function readRequestField(
  reader: ProtobufReader,
  tag: number,
  end: number,
  request: { host: string; query: ReflectionRequest },
): boolean {
  if (tag === HOST) {
    request.host = readText(reader, end);
    return true;
  }
  const name = QUERIES.get(tag);
  if (name === undefined) return false;
  request.query = { [name]: readText(reader, end) };
  return true;
}

export function encodeReflectionResponse(response: ReflectionResponse): Buffer {
  const { file_descriptor_response: files, list_services_response: list, error_response: error } = response;
  let bytes = field(2, requestBytes(response.original_request));
  if (files !== undefined)
    bytes += field(4, files.file_descriptor_proto.map((file) => field(1, byteString(file))).join(""));
  if (list !== undefined)
    bytes += field(6, list.service.map(({ name }) => field(1, textField(1, name))).join(""));
  if (error !== undefined)
    bytes += field(7, numberField(1, error.error_code) + textField(2, error.error_message));
  return toBytes(bytes);
}

function requestBytes({ host, ...query }: ReflectionRequest): ByteString {
  const names: readonly Query[] = ["file_by_filename", "file_containing_symbol", "list_services"];
  const fields = names.map((name) => {
    const text = query[name];
    return text === undefined ? "" : textField(FIELD_NUMBERS[name], text);
  });
  return (host === undefined ? "" : textField(1, host)) + fields.join("");
}

function byteString(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
