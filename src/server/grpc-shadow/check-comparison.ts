import { z } from "zod";
import { asciiLowerCase } from "../../core/field-text.ts";
import type { ReceivedCheck } from "../../ext-authz/check-request-decoder.ts";
import { decodeCheckRequest } from "../../ext-authz/check-request-decoder.ts";
import type { CheckResponse } from "../../ext-authz/messages.ts";
import type { ReferenceCodec } from "../../grpc/reference-codec.ts";
import { differingFields, differingRequest, tryDecode } from "./differing-fields.ts";

/** The fields that a decision reads, with the lines of each header by its lower-case name. */
interface CheckFields {
  readonly peer_address: string;
  readonly certificate: string;
  readonly context_extensions: ReadonlyMap<string, string>;
  readonly has_http: boolean;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  readonly headers: ReadonlyMap<string, readonly string[]>;
}

/** Names of the fields of a CheckRequest that our decoder does not read as the other one does. */
export function differingCheckRequest(
  codec: ReferenceCodec,
  message: Buffer,
  decode: (message: Uint8Array) => ReceivedCheck = decodeCheckRequest,
): readonly string[] {
  return differingRequest(
    tryDecode((bytes) => readByUs(decode(bytes)), message),
    tryDecode((bytes) => readByReference(codec.decodeRequest(bytes)), message),
  );
}

function readByUs({ peerAddress, certificate, extensions, http }: ReceivedCheck): CheckFields {
  const names = [...(http?.headers.keys() ?? [])];
  return {
    peer_address: peerAddress,
    certificate,
    context_extensions: extensions ?? new Map(),
    has_http: http !== undefined,
    method: http?.method ?? "",
    path: http?.path ?? "",
    host: http?.host ?? "",
    scheme: http?.scheme ?? "",
    headers: new Map(names.map((name) => [name, http?.headers.get(name) ?? []])),
  };
}

const httpRequest = z.object({
  method: z.string(),
  path: z.string(),
  host: z.string(),
  scheme: z.string(),
  headers: z.unknown(),
  header_map: z
    .object({
      headers: z.array(z.object({ key: z.string(), value: z.string(), raw_value: z.instanceof(Buffer) })),
    })
    .nullish(),
});
const checkRequest = z.object({
  attributes: z
    .object({
      source: z
        .object({
          address: z.object({ socket_address: z.object({ address: z.string() }).nullish() }).nullish(),
          certificate: z.string(),
        })
        .nullish(),
      request: z.object({ http: httpRequest.nullish() }).nullish(),
      context_extensions: z.unknown(),
    })
    .nullish(),
});

function readByReference(decoded: object): CheckFields {
  const { source, request, context_extensions } = checkRequest.parse(decoded).attributes ?? {};
  const http = request?.http ?? undefined;
  return {
    peer_address: source?.address?.socket_address?.address ?? "",
    certificate: source?.certificate ?? "",
    context_extensions: new Map(entriesOf(context_extensions)),
    has_http: http !== undefined,
    method: http?.method ?? "",
    path: http?.path ?? "",
    host: http?.host ?? "",
    scheme: http?.scheme ?? "",
    headers: linesOf(http),
  };
}

/** zod would remove `__proto__`. */
function entriesOf(map: unknown): [string, string][] {
  return Object.entries(Object(map)).map(([key, value]) => [key, String(value)]);
}

function linesOf(http: z.infer<typeof httpRequest> | undefined): ReadonlyMap<string, readonly string[]> {
  const lines = new Map<string, string[]>();
  const add = (key: string, value: string) => {
    const name = asciiLowerCase(key);
    lines.set(name, [...(lines.get(name) ?? []), value]);
  };
  for (const [key, value] of entriesOf(http?.headers)) add(key, value);
  for (const { key, value, raw_value } of http?.header_map?.headers ?? [])
    add(key, raw_value.length > 0 ? raw_value.toString("latin1") : value);
  return lines;
}

/** Names of the fields in which our bytes do not say what the other encoder says of the expected response. */
export function differingCheckResponse(
  codec: ReferenceCodec,
  response: Buffer,
  expected: CheckResponse | undefined,
): readonly string[] {
  const ours = tryDecode(codec.decodeResponse, response);
  if (ours === undefined) return ["message"];
  if (expected === undefined) return [];
  const theirs = codec.decodeResponse(codec.encodeResponse(expected));
  return differingFields(flattened(ours), flattened(theirs));
}

/** With the members of the inner response, and lists without their order, which a response from cached fragments changes. */
function flattened(response: object): object {
  const { ok_response, denied_response, ...members } = withInner(response);
  return {
    ...sortedMembers("", members),
    ...sortedMembers("ok_response.", ok_response ?? {}),
    ...sortedMembers("denied_response.", denied_response ?? {}),
  };
}

function withInner(response: object): { ok_response?: object | null; denied_response?: object | null } {
  return response;
}

function sortedMembers(prefix: string, members: object): object {
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [
      prefix + name,
      Array.isArray(value) ? value.map((item) => JSON.stringify(item)).toSorted() : value,
    ]),
  );
}
