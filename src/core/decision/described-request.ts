import { asciiLowerCase } from "../field-text.ts";
import type { Policy } from "../policy/policy.ts";
import type { CredentialSource } from "./credential.ts";
import { cookieName, queryName } from "./credential.ts";
import type { PathFault } from "./path.ts";
import { normalisePath } from "./path.ts";
import type { AuthRequest } from "./request.ts";
import { normaliseHost } from "./request.ts";

/** A description of a request, to explain or replay its decision. Absent members have harmless defaults. */
export interface DescribedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly host?: string | undefined;
  readonly scheme?: string | undefined;
  /** By name. A list means several lines. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** Envoy's peer. */
  readonly address?: string | undefined;
  /** `x5t#S256` of the client's certificate; none by default. */
  readonly certificate?: string | undefined;
  /** `context_extensions` of Envoy's configuration. */
  readonly extensions?: Readonly<Record<string, string>> | undefined;
  readonly key?: string | undefined;
  /** Where the key is presented; the policy's first source by default. */
  readonly in?: CredentialSource | undefined;
}

export type DescribedResult =
  | { readonly ok: true; readonly request: AuthRequest }
  | { readonly ok: false; readonly fault: PathFault | "host_malformed" };

/** A described request as a client sends it. */
export interface SentRequest extends Pick<AuthRequest, "method" | "host" | "scheme"> {
  /** With the query. */
  readonly path: string;
  readonly headers: ReadonlyMap<string, readonly string[]>;
}

/** Adds the key and the defaults to a described request. */
export function sentRequest(
  described: DescribedRequest,
  policy: Pick<Policy, "credentialSources">,
): SentRequest {
  const source = described.in ?? policy.credentialSources[0] ?? "authorization";
  const { method, host = "localhost", scheme = "https" } = described;
  const path = withParameter(described, source);
  return { method, host, scheme, path, headers: headersOf(described, source) };
}

/** The request that Envoy would send in a Check. */
export function describedRequest(
  described: DescribedRequest,
  policy: Pick<Policy, "credentialSources" | "pathParams">,
): DescribedResult {
  const sent = sentRequest(described, policy);
  const path = normalisePath(sent.path, policy.pathParams);
  if (!path.ok) return path;
  const host = normaliseHost(sent.host);
  if (host === undefined) return { ok: false, fault: "host_malformed" };
  const request = {
    ...sent,
    host,
    path: path.value,
    peerAddress: described.address ?? "192.0.2.1",
    certificate: () => described.certificate,
    extensions: new Map(Object.entries(described.extensions ?? {})),
    grpc: false,
  };
  return { ok: true, request };
}

function withParameter({ path, key }: DescribedRequest, source: CredentialSource): string {
  const name = queryName(source);
  if (name === undefined || key === undefined) return path;
  return `${path}${path.includes("?") ? "&" : "?"}${name}=${encodeURIComponent(key)}`;
}

function headersOf(
  { headers = {}, key }: DescribedRequest,
  source: CredentialSource,
): SentRequest["headers"] {
  const lines = new Map(
    Object.entries(headers).map(([name, value]) => [
      asciiLowerCase(name),
      typeof value === "string" ? [value] : [...value],
    ]),
  );
  const add = (name: string, line: string) => lines.set(name, [...(lines.get(name) ?? []), line]);
  if (key === undefined || queryName(source) !== undefined) return lines;
  const cookie = cookieName(source);
  if (cookie !== undefined) add("cookie", `${cookie}=${key}`);
  else add(source, source === "authorization" ? `Bearer ${key}` : key);
  return lines;
}
