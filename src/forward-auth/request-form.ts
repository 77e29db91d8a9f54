/** How a proxy describes the client's request. Each form reads only its own headers. */
export type RequestForm = "envoy" | "forward" | "original";

/** What the URL of a call to this listener says. */
export interface CallTarget {
  readonly form: RequestForm;
  /** The path and query of the client's request; only with `envoy`. */
  readonly path?: string;
  /** Whether every denial but 401 has the status 403, for nginx, which passes no other. */
  readonly deny403: boolean;
}

const ENVOY_PREFIX = "/envoy";
const FORWARD = "/forward";
const ORIGINAL = "/original";
const DENY_403 = "?deny=403";

/**
 * Undefined if this listener has no such URL. With `/envoy/` the whole rest belongs to the client, the query included. Caddy
 * sends the client's query to `/forward`, so it is ignored there.
 */
export function parseCallTarget(url: string): CallTarget | undefined {
  if (url.startsWith(`${ENVOY_PREFIX}/`))
    return { form: "envoy", path: url.slice(ENVOY_PREFIX.length), deny403: false };
  if (url === FORWARD || url.startsWith(`${FORWARD}?`)) return { form: "forward", deny403: false };
  if (url === ORIGINAL || url === ORIGINAL + DENY_403) return { form: "original", deny403: url !== ORIGINAL };
  return undefined;
}

/** What a proxy says about the client's request. With `envoy` the call has the request's own method and path. */
export type DescribedPart = "method" | "host" | "uri" | "proto" | "address";

/** The headers in which a proxy describes the client's request. They are not headers of that request. */
export const DESCRIPTION_HEADERS: Readonly<Record<RequestForm, ReadonlyMap<string, DescribedPart>>> = {
  envoy: new Map([
    ["host", "host"],
    ["x-forwarded-proto", "proto"],
    ["x-forwarded-for", "address"],
  ]),
  forward: new Map([
    ["x-forwarded-method", "method"],
    ["x-forwarded-host", "host"],
    ["x-forwarded-uri", "uri"],
    ["x-forwarded-proto", "proto"],
    ["x-forwarded-for", "address"],
  ]),
  original: new Map([
    ["x-original-method", "method"],
    ["x-original-host", "host"],
    ["x-original-uri", "uri"],
    ["x-original-proto", "proto"],
    ["x-original-for", "address"],
  ]),
};
