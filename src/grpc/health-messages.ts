import type { HealthCheckRequest, HealthCheckResponse } from "./proto.ts";
import type { ProtobufReader } from "./protobuf-reader.ts";
import { openReader, readMessage, readText } from "./protobuf-reader.ts";
import { numberField, toBytes } from "./protobuf-writer.ts";

/** The last of several `service` fields counts, as protobuf requires. Throws a RangeError if the message does not decode. */
export function decodeHealthRequest(message: Uint8Array): HealthCheckRequest {
  const request = { service: "" };
  readMessage(openReader(message), message.length, request, readServiceField);
  return request;
}

/** Tag of field 1, a length-delimited field. */
const SERVICE = 0x0a;

function readServiceField(
  reader: ProtobufReader,
  tag: number,
  end: number,
  request: { service: string },
): boolean {
  if (tag !== SERVICE) return false;
  request.service = readText(reader, end);
  return true;
}

export function encodeHealthResponse({ status }: HealthCheckResponse): Buffer {
  return toBytes(numberField(1, status));
}
