import { asciiLowerCase } from "../field-text.ts";
import type { NormalPath } from "./path.ts";

/** Header lines by lower-case name. Separate lines stay separate. Lines that Envoy joined contain a comma. */
export interface HeaderLines {
  /** Undefined if there is no header of this name. */
  get(name: string): readonly string[] | undefined;
  keys(): Iterable<string>;
  /** Whether lines of one name are joined with commas, as Envoy does without `encode_raw_headers`. */
  readonly joined?: boolean;
}

/** The request of a Check, parsed and normalised. It contains nothing of the wire format. */
export interface AuthRequest {
  /** Upper case on HTTP/1; on HTTP/2 as the client sent it. */
  readonly method: string;
  /** Lower case, without port and trailing dot. */
  readonly host: string;
  readonly path: NormalPath;
  /** `http` or `https`, as Envoy received it. */
  readonly scheme: string;
  readonly headers: HeaderLines;
  /** The TCP peer of Envoy, never from a header. Empty if the peer is not an IP socket. */
  readonly peerAddress: string;
  /** `x5t#S256` of the client certificate that Envoy received; undefined: none. Computed at each call. */
  readonly certificate: () => string | undefined;
  /** `context_extensions` of Envoy's own configuration. No client can set them. */
  readonly extensions: ReadonlyMap<string, string>;
  /** Whether Envoy converts a denial to a `grpc-status`, by the request's content-type. */
  readonly grpc: boolean;
}

/** The known parts of a malformed or ambiguous request: for logs and metrics, never for a decision. */
export interface UnparsedRequest
  extends Pick<AuthRequest, "method" | "host" | "scheme" | "headers" | "peerAddress"> {
  /** The path as it was sent, without the query. An ambiguous host is also as it was sent. */
  readonly rawPath: string;
}

const NO_LINES: readonly string[] = [];

/** All lines of a header; empty if it is absent. */
export function headerLines(request: Pick<AuthRequest, "headers">, name: string): readonly string[] {
  return request.headers.get(name) ?? NO_LINES;
}

/** A CORS-preflight request, as the Fetch standard defines it. */
export function isPreflight(request: Pick<AuthRequest, "method" | "headers">): boolean {
  return (
    request.method === "OPTIONS" &&
    headerLines(request, "origin").length > 0 &&
    headerLines(request, "access-control-request-method").length > 0
  );
}

// RFC 9110 §7.2: a DNS name, possibly absolute, or an address, then a port. HTTP/1.0 requires no host.
const HOST = /^(?:([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?|(\[[0-9a-f:.]+\]))?(?::\d*)?$/;

/**
 * Normalises a host name: lower case, no port, no trailing dot. Returns undefined for an invalid host such as `a:80:80`, `a..` or
 * `user@a`. It is denied, not repaired, because the upstream may read it as `a`.
 */
export function normaliseHost(host: string): string | undefined {
  const match = HOST.exec(asciiLowerCase(host));
  return match === null ? undefined : (match[1] ?? match[2] ?? "");
}
