import { asciiLowerCase } from "../field-text.ts";
import type { NormalPath } from "./path.ts";

/** Header lines by lower-case names. Lines that the wire kept apart stay apart; those that Envoy joined hold a comma. */
export interface HeaderLines {
  /** Undefined: there is none of that name. */
  get(name: string): readonly string[] | undefined;
  keys(): Iterable<string>;
  /** Whether the wire joined the lines of one name with commas, as Envoy does without `encode_raw_headers`. */
  readonly joined?: boolean;
}

/** What Envoy asks about, parsed and normalised: nothing of the wire is left in it. */
export interface AuthRequest {
  /** Upper case on HTTP/1; on HTTP/2 as the client sent it. */
  readonly method: string;
  /** Lower case, without port and trailing dot. */
  readonly host: string;
  readonly path: NormalPath;
  /** `http` or `https`, as Envoy saw it. */
  readonly scheme: string;
  readonly headers: HeaderLines;
  /** The TCP peer of Envoy; never taken from a header. Empty when it is not an IP socket. */
  readonly peerAddress: string;
  /** `x5t#S256` of the certificate that the client showed Envoy; undefined: none. Worked out when it is asked for. */
  readonly certificate: () => string | undefined;
  /** From Envoy's own configuration: no client can set these. */
  readonly extensions: ReadonlyMap<string, string>;
  /** Whether Envoy will turn a refusal into a `grpc-status` (its content-type says so). */
  readonly grpc: boolean;
}

/** What can be told of a request that has no one reading: for whoever accounts for it, never to decide by. */
export interface UnparsedRequest
  extends Pick<AuthRequest, "method" | "host" | "scheme" | "headers" | "peerAddress"> {
  /** Its path as it was sent, without the query; so is its host, where that has no one form. */
  readonly rawPath: string;
}

const NO_LINES: readonly string[] = [];

/** All lines of a header; none when it is absent. */
export function headerLines(request: Pick<AuthRequest, "headers">, name: string): readonly string[] {
  return request.headers.get(name) ?? NO_LINES;
}

// RFC 9110 §7.2: a DNS name, which may be absolute, or an address; and a port. HTTP/1.0 needs no host.
const HOST = /^(?:([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?|(\[[0-9a-f:.]+\]))?(?::\d*)?$/;

/**
 * One form for each host name: lower case, no port, no trailing dot. Undefined for what is no host, such as `a:80:80`,
 * `a..` or `user@a`: upstream may read `a` in it, which a route may be for, and so it is refused, never repaired.
 */
export function normaliseHost(host: string): string | undefined {
  const match = HOST.exec(asciiLowerCase(host));
  return match === null ? undefined : (match[1] ?? match[2] ?? "");
}
