import type { HealthCheckRequest, HealthCheckResponse } from "./proto.ts";
import type { ProtobufReader } from "./protobuf-reader.ts";
import { openReader, readMessage, readText } from "./protobuf-reader.ts";
import { numberField, toBytes } from "./protobuf-writer.ts";

/** Of two `service` fields the last one counts, as protobuf says. Throws a RangeError on bytes that are no message. */
export function decodeHealthRequest(message: Uint8Array): HealthCheckRequest {
  const request = { service: "" };
  readMessage(openReader(message), message.length, request, readServiceField);
  return request;
}

/** Tag of field 1, which has a length. */
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
