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
 * Undefined if the URL is none of this listener's. With `/envoy/` the whole rest belongs to the client, the query included. Caddy
 * sends the client's query to `/forward`, so it is ignored there.
 */
export function parseCallTarget(url: string): CallTarget | undefined {
  if (url.startsWith(`${ENVOY_PREFIX}/`))
    return { form: "envoy", path: url.slice(ENVOY_PREFIX.length), deny403: false };
  if (url === FORWARD || url.startsWith(`${FORWARD}?`)) return { form: "forward", deny403: false };
  if (url === ORIGINAL || url === ORIGINAL + DENY_403) return { form: "original", deny403: url !== ORIGINAL };
  return undefined;
}

/** The headers in which a proxy describes the client's request. They are not headers of that request. */
export interface DescriptionHeaders {
  /** Undefined: the call has the request's own method, host and path. */
  readonly request?: { readonly method: string; readonly host: string; readonly uri: string };
  readonly proto: string;
  readonly address: string;
}

export const DESCRIPTION_HEADERS: Readonly<Record<RequestForm, DescriptionHeaders>> = {
  envoy: { proto: "x-forwarded-proto", address: "x-forwarded-for" },
  forward: {
    request: { method: "x-forwarded-method", host: "x-forwarded-host", uri: "x-forwarded-uri" },
    proto: "x-forwarded-proto",
    address: "x-forwarded-for",
  },
  original: {
    request: { method: "x-original-method", host: "x-original-host", uri: "x-original-uri" },
    proto: "x-original-proto",
    address: "x-original-for",
  },
};
