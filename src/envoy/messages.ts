import { CHECK_METHOD } from "./proto.ts";
import type { Struct } from "./struct.ts";

/**
 * A protobuf map of the wire. It is a plain object, so its names are the client's and Object.prototype's alike:
 * look a name up with `Object.hasOwn`, or take the whole by `Object.entries`.
 */
export type WireMap<Value = string> = Readonly<Record<string, Value>>;

/** What was absent on the wire is null (messages), empty (text, bytes, lists, maps), 0, or undefined (oneof members). */
export interface CheckRequest {
  readonly attributes: AttributeContext | null;
}

export interface AttributeContext {
  readonly source: Peer | null;
  readonly destination: Peer | null;
  readonly request: { readonly time: Timestamp | null; readonly http: HttpRequest | null } | null;
  readonly context_extensions: WireMap;
  readonly metadata_context: Metadata | null;
  readonly route_metadata_context: Metadata | null;
  readonly tls_session: { readonly sni: string } | null;
}

export interface Peer {
  readonly address: Address | null;
  readonly service: string;
  readonly labels: WireMap;
  readonly principal: string;
  /** PEM, URL-encoded. */
  readonly certificate: string;
}

export interface Address {
  readonly socket_address?: SocketAddress;
  readonly pipe?: { readonly path: string; readonly mode: number };
}

export interface SocketAddress {
  readonly protocol: number;
  readonly address: string;
  readonly port_value?: number;
  readonly named_port?: string;
  readonly resolver_name: string;
  readonly ipv4_compat: boolean;
}

export interface HttpRequest {
  /** Envoy's stream id, not `x-request-id`. */
  readonly id: string;
  readonly method: string;
  /** Lower-case names, lines joined by a comma. Empty when Envoy sends `header_map`. */
  readonly headers: WireMap;
  /** Filled instead of `headers` where Envoy has `encode_raw_headers`. */
  readonly header_map: { readonly headers: readonly HeaderValue[] } | null;
  /** With `?query`; nothing is decoded. */
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  readonly query: string;
  readonly fragment: string;
  /** An int64 in decimal; -1 is unknown. */
  readonly size: string;
  readonly protocol: string;
  readonly body: string;
  readonly raw_body: Buffer;
}

export interface HeaderValue {
  readonly key: string;
  readonly value: string;
  readonly raw_value: Buffer;
}

export interface Timestamp {
  /** An int64 in decimal. */
  readonly seconds: string;
  readonly nanos: number;
}

export interface Metadata {
  readonly filter_metadata: WireMap<Struct>;
  readonly typed_filter_metadata: WireMap<{ readonly type_url: string; readonly value: Buffer }>;
}

/**
 * What we answer. Envoy ALLOWS when the status is missing or its code is 0, whatever stands beside it: so the two
 * answers are two types, and neither can be written without its status.
 */
export type CheckResponse = AllowResponse | DenyResponse;

export interface AllowResponse {
  readonly status: { readonly code: 0 };
  readonly ok_response: OkHttpResponse;
  readonly dynamic_metadata?: Struct;
}

export interface DenyResponse {
  readonly status: { readonly code: RefusalCode; readonly message?: string };
  readonly denied_response: DeniedHttpResponse;
  readonly dynamic_metadata?: Struct;
}

/**
 * google.rpc.Code: invalid argument, not found, permission denied, resource exhausted, internal, unavailable,
 * unauthenticated. Never 0.
 */
export type RefusalCode = 3 | 5 | 7 | 8 | 13 | 14 | 16;

export interface DeniedHttpResponse {
  readonly status: { readonly code: number };
  readonly headers?: readonly HeaderOption[];
  readonly body?: string;
}

export interface OkHttpResponse {
  /** Set on the request to upstream. */
  readonly headers?: readonly HeaderOption[];
  /** Runs after `headers`: a name in both is removed. */
  readonly headers_to_remove?: readonly string[];
  readonly response_headers_to_add?: readonly HeaderOption[];
  /** Envoy writes the value unescaped. */
  readonly query_parameters_to_set?: readonly { readonly key: string; readonly value: string }[];
  readonly query_parameters_to_remove?: readonly string[];
}

export interface HeaderOption {
  readonly header: { readonly key: string; readonly value: string };
  readonly append?: { readonly value: boolean };
  /** A number of APPEND_ACTION. */
  readonly append_action?: (typeof APPEND_ACTION)[keyof typeof APPEND_ACTION];
}

export const APPEND_ACTION = {
  APPEND_IF_EXISTS_OR_ADD: 0,
  ADD_IF_ABSENT: 1,
  OVERWRITE_IF_EXISTS_OR_ADD: 2,
  OVERWRITE_IF_EXISTS: 3,
} as const;

/** Throws on bytes that are no CheckRequest. Text that is not UTF-8 does not throw: U+FFFD stands for it. */
export function decodeCheckRequest(bytes: Uint8Array): CheckRequest {
  return CHECK_METHOD.requestDeserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Throws when a member has a form that the message has not. */
export function encodeCheckResponse(response: CheckResponse): Buffer {
  return CHECK_METHOD.responseSerialize(response);
}

/** The other side of the two above, for whoever plays Envoy. What is left out stays off the wire. */
export function encodeCheckRequest(request: object): Buffer {
  return CHECK_METHOD.requestSerialize(request);
}

export function decodeCheckResponse(bytes: Uint8Array): CheckResponse {
  return CHECK_METHOD.responseDeserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}
