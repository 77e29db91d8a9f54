import type { PathFault, PathParams } from "../core/path.ts";
import { normalisePath } from "../core/path.ts";
import type { AuthRequest, UnreadRequest } from "../core/request.ts";
import { headerLines, normaliseHost } from "../core/request.ts";
import type { CheckRequest, HttpRequest } from "./messages.ts";

/** What a CheckRequest turns out to be. Even a malformed one says whether its refusal must be worded for gRPC. */
export type ParsedRequest =
  | { readonly ok: true; readonly request: AuthRequest }
  | {
      readonly ok: false;
      readonly fault: PathFault | "no_http" | "no_method";
      readonly grpc: boolean;
      readonly unread?: UnreadRequest;
    };

const NO_METHOD = { ok: false, fault: "no_method" } as const;

/**
 * Reads what Envoy sent. Path, method and host come from their own fields: Envoy fills those whatever headers it
 * was told to send, while headers such as `x-original-url` are the client's own words.
 */
export function toAuthRequest(message: CheckRequest, pathParams: PathParams): ParsedRequest {
  const http = message.attributes?.request?.http ?? null;
  if (http === null) return { ok: false, fault: "no_http", grpc: false };
  const headers = readHeaders(http);
  const grpc = isGrpc(headers);
  const { method, scheme } = http;
  const host = normaliseHost(http.host);
  const peerAddress = message.attributes?.source?.address?.socket_address?.address ?? "";
  const path = method === "" ? NO_METHOD : normalisePath(http.path, pathParams);
  if (!path.ok) {
    const [rawPath = ""] = http.path.split("?", 1);
    return {
      ok: false,
      fault: path.fault,
      grpc,
      unread: { method, host, scheme, headers, peerAddress, rawPath },
    };
  }
  return {
    ok: true,
    request: {
      method,
      host,
      path: path.value,
      scheme,
      headers,
      peerAddress,
      extensions: new Map(Object.entries(message.attributes?.context_extensions ?? {})),
      grpc,
    },
  };
}

/** Both forms that Envoy knows: `header_map` (raw, duplicates apart) where `encode_raw_headers` is set, else `headers`. */
function readHeaders(http: HttpRequest): ReadonlyMap<string, readonly string[]> {
  const lines = new Map<string, string[]>();
  const add = (name: string, value: string) => {
    const lower = name.toLowerCase();
    const known = lines.get(lower);
    if (known === undefined) lines.set(lower, [value]);
    else known.push(value);
  };
  for (const { key, value, raw_value } of http.header_map?.headers ?? []) {
    // latin1 keeps every byte apart; nothing but ASCII can be a key, a content type or an address anyway.
    add(key, raw_value.length > 0 ? raw_value.toString("latin1") : value);
  }
  for (const [name, value] of Object.entries(http.headers)) add(name, value);
  return lines;
}

/** Exactly the content types for which Envoy turns a refusal into a grpc-status. */
function isGrpc(headers: AuthRequest["headers"]): boolean {
  const [contentType = ""] = headerLines({ headers }, "content-type");
  return contentType === "application/grpc" || contentType.startsWith("application/grpc+");
}
