import { hash, X509Certificate } from "node:crypto";
import { memoize } from "../core/cache/memoize.ts";
import type { PathFault, PathParams, PathResult } from "../core/decision/path.ts";
import { normalisePath } from "../core/decision/path.ts";
import type { AuthRequest, UnparsedRequest } from "../core/decision/request.ts";
import { headerLines, normaliseHost } from "../core/decision/request.ts";
import type { ReceivedCheck } from "./check-request-decoder.ts";

/** A parsed CheckRequest. A malformed one also says whether its client speaks gRPC, which decides the form of the denial. */
export type ParsedRequest =
  | { readonly ok: true; readonly request: AuthRequest }
  | {
      readonly ok: false;
      readonly fault: PathFault | "host_malformed" | "no_http" | "no_method";
      readonly grpc: boolean;
      readonly unparsed?: UnparsedRequest;
    };

// Most requests are for a few hosts and paths.
const parseHost = memoize(64, normaliseHost);
const PARSE_PATH: Readonly<Record<PathParams, (target: string) => PathResult>> = {
  reject: memoize(1024, (target) => normalisePath(target, "reject")),
  strip: memoize(1024, (target) => normalisePath(target, "strip")),
};
const NO_METHOD = { ok: false, fault: "no_method" } as const;

/**
 * Parses the request that Envoy describes. Path, method and host come from their own fields, which Envoy always sets. Headers
 * such as `x-original-url` are not used, because the client chooses them.
 */
export function toAuthRequest(
  { http, peerAddress, certificate, extensions }: ReceivedCheck,
  pathParams: PathParams,
): ParsedRequest {
  if (http === undefined) return { ok: false, fault: "no_http", grpc: false };
  const { headers } = http;
  const grpc = isGrpc(headers);
  const { method, scheme } = http;
  const host = parseHost(http.host);
  const path = method === "" ? NO_METHOD : parsePath(http.path, pathParams);
  if (!path.ok || host === undefined) {
    const [rawPath = ""] = http.path.split("?", 1);
    return {
      ok: false,
      fault: path.ok ? "host_malformed" : path.fault,
      grpc,
      unparsed: { method, host: host ?? http.host, scheme, headers, peerAddress, rawPath },
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
      certificate: certificate === "" ? NO_CERTIFICATE : () => thumbprintOf(certificate),
      extensions: extensions ?? NO_EXTENSIONS,
      grpc,
    },
  };
}

const NO_EXTENSIONS: AuthRequest["extensions"] = new Map();
const NO_CERTIFICATE = () => undefined;

/** `x5t#S256` (RFC 8705 §3.1) of the URL-encoded PEM that Envoy sends. Undefined if it is not a certificate. */
function thumbprintOf(encoded: string): string | undefined {
  try {
    return hash("sha256", new X509Certificate(decodeURIComponent(encoded)).raw, "base64url");
  } catch {
    return undefined;
  }
}

/** The memoized part excludes the query, which may contain a key. */
function parsePath(target: string, pathParams: PathParams): PathResult {
  const mark = target.indexOf("?");
  if (mark === -1) return PARSE_PATH[pathParams](target);
  const known = PARSE_PATH[pathParams](target.slice(0, mark));
  return known.ok ? { ok: true, value: { ...known.value, query: target.slice(mark + 1) } } : known;
}

/** Exactly the content types for which Envoy turns a denial into a grpc-status. */
function isGrpc(headers: AuthRequest["headers"]): boolean {
  const contentType = headerLines({ headers }, "content-type")[0];
  if (contentType === undefined) return false;
  return contentType === "application/grpc" || contentType.startsWith("application/grpc+");
}
