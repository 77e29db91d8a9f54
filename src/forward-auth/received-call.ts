import { clientAddress } from "../core/decision/client-address.ts";
import { trimOws } from "../core/field-text.ts";
import type { ReceivedCheck } from "../ext-authz/check-request-decoder.ts";
import type { ReceivedHeaders } from "../ext-authz/request-headers.ts";
import { createReceivedHeaders, lowerCaseName } from "../ext-authz/request-headers.ts";
import type { CallTarget, DescribedPart, RequestForm } from "./request-form.ts";
import { DESCRIPTION_HEADERS } from "./request-form.ts";

/** A call of a proxy, as it was received. */
export interface ReceivedCall {
  readonly method: string;
  /** Undefined if this listener has no such URL. */
  readonly target: CallTarget | undefined;
  /** Names and values in turn, one character for each byte. */
  readonly rawHeaders: readonly string[];
  /** The TCP peer: the proxy. */
  readonly peerAddress: string;
}

/** Reading a line takes half a microsecond. Proxies send fewer: Envoy has a limit of 100, and nginx of 32 KB. */
const MAX_HEADER_LINES = 8000;

/**
 * Reads the client's request from a proxy's call. A header that describes the request must occur exactly once: a second one is the
 * client's own, and a proxy that omits one would let the client choose it. Throws a RangeError otherwise.
 * @param trustedHops position of the client's address, counted from the right; 0 means the proxy's own address
 */
export function readCall(
  { method, target, rawHeaders, peerAddress }: ReceivedCall,
  trustedHops: number,
): ReceivedCheck {
  if (rawHeaders.length > 2 * MAX_HEADER_LINES) throw new RangeError("the call has too many headers");
  if (target === undefined) throw new RangeError("the path is not /envoy/…, /forward or /original");
  const { described, headers } = sortHeaders(rawHeaders, target.form);
  const path = target.path ?? described.one("uri");
  return {
    peerAddress: trustedHops === 0 ? peerAddress : clientAddress("", described.lines("address"), trustedHops),
    certificate: "",
    extensions: undefined,
    http: {
      method: target.path === undefined ? methodOf(described.one("method")) : method,
      host: described.one("host"),
      path,
      scheme: schemeOf(described.one("proto")),
      headers,
    },
  };
}

interface Description {
  /** Throws a RangeError unless there is exactly one, and it is not empty. */
  one(part: DescribedPart): string;
  /** Throws a RangeError without one. */
  lines(part: DescribedPart): readonly string[];
}

/** Separates the headers in which the proxy describes the request from those of the request. */
function sortHeaders(
  rawHeaders: readonly string[],
  form: RequestForm,
): { readonly described: Description; readonly headers: ReceivedHeaders } {
  const parts = DESCRIPTION_HEADERS[form];
  const found = new Map<DescribedPart, string[]>();
  const headers = createReceivedHeaders();
  // Envoy joins the lines of one name and sends UTF-8. Other proxies pass lines and bytes on.
  headers.joined = form === "envoy";
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = lowerCaseName(rawHeaders[at] ?? "");
    const value = rawHeaders[at + 1] ?? "";
    const part = parts.get(name);
    if (part !== undefined) addTo(found, part, value);
    else if (form === "envoy") headers.add(name, asUtf8(value));
    // Only Envoy turns a denial into a grpc-status, by the content type.
    else if (name !== "content-type") headers.add(name, value);
  }
  return { described: describe(found, parts), headers };
}

function addTo(found: Map<DescribedPart, string[]>, part: DescribedPart, value: string): void {
  const values = found.get(part);
  if (values === undefined) found.set(part, [value]);
  else values.push(value);
}

function describe(
  found: ReadonlyMap<DescribedPart, readonly string[]>,
  parts: ReadonlyMap<string, DescribedPart>,
): Description {
  const nameOf = (part: DescribedPart) => [...parts].find(([, named]) => named === part)?.[0] ?? part;
  const lines = (part: DescribedPart) => {
    const values = found.get(part);
    if (values === undefined) throw new RangeError(`${nameOf(part)} is missing`);
    return values;
  };
  return {
    lines,
    one(part) {
      const [value = "", ...more] = lines(part);
      if (more.length > 0) throw new RangeError(`${nameOf(part)} occurs ${more.length + 1} times`);
      if (trimOws(value) === "") throw new RangeError(`${nameOf(part)} is empty`);
      return trimOws(value);
    },
  };
}

/** RFC 9110 §9.1. A list of methods contains a comma or a space. */
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function methodOf(text: string): string {
  if (!METHOD.test(text)) throw new RangeError("the method is not one method");
  return text;
}

/** Some proxies name the scheme of a WebSocket. */
const SCHEMES: ReadonlyMap<string, string> = new Map([
  ["http", "http"],
  ["https", "https"],
  ["ws", "http"],
  ["wss", "https"],
]);

function schemeOf(text: string): string {
  const scheme = SCHEMES.get(text);
  if (scheme === undefined) throw new RangeError("the scheme is neither http nor https");
  return scheme;
}

function asUtf8(value: string): string {
  return /[\x80-\xff]/.test(value) ? Buffer.from(value, "latin1").toString("utf8") : value;
}
