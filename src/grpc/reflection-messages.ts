import type { ReflectionRequest, ReflectionResponse } from "./proto.ts";
import type { ProtobufReader } from "./protobuf-reader.ts";
import { openReader, readMessage, readText } from "./protobuf-reader.ts";
import type { ByteString } from "./protobuf-writer.ts";
import { field, numberField, textField, toBytes } from "./protobuf-writer.ts";

type Question = Exclude<keyof ReflectionRequest, "host">;

/** Fields of ServerReflectionRequest by their tags; each has a length. */
const QUESTIONS: ReadonlyMap<number, Question> = new Map([
  [0x1a, "file_by_filename"],
  [0x22, "file_containing_symbol"],
  [0x3a, "list_services"],
]);
const NUMBERS = { file_by_filename: 3, file_containing_symbol: 4, list_services: 7 } as const;
const HOST = 0x0a;

/**
 * Reads what proto/reflection.proto has of the message. Of several members of the oneof the last one counts, as protobuf
 * says. Throws a RangeError on bytes that are no message.
 */
export function decodeReflectionRequest(message: Uint8Array): ReflectionRequest {
  const read: { host: string; asked: ReflectionRequest } = { host: "", asked: {} };
  readMessage(openReader(message), message.length, read, readRequestField);
  return read.host === "" ? read.asked : { host: read.host, ...read.asked };
}

function readRequestField(
  reader: ProtobufReader,
  tag: number,
  end: number,
  read: { host: string; asked: ReflectionRequest },
): boolean {
  if (tag === HOST) {
    read.host = readText(reader, end);
    return true;
  }
  const question = QUESTIONS.get(tag);
  if (question === undefined) return false;
  read.asked = { [question]: readText(reader, end) };
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

function requestBytes({ host, ...asked }: ReflectionRequest): ByteString {
  const questions: readonly Question[] = ["file_by_filename", "file_containing_symbol", "list_services"];
  const texts = questions.map((name) => {
    const text = asked[name];
    return text === undefined ? "" : textField(NUMBERS[name], text);
  });
  return (host === undefined ? "" : textField(1, host)) + texts.join("");
}

function byteString(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
