import { clientAddress } from "../core/decision/client-address.ts";
import { asciiLowerCase, trimOws } from "../core/field-text.ts";
import type { ReceivedCheck } from "../ext-authz/check-request-decoder.ts";
import type { ReceivedHeaders } from "../ext-authz/request-headers.ts";
import { createReceivedHeaders } from "../ext-authz/request-headers.ts";
import type { CallTarget, DescriptionHeaders } from "./request-form.ts";
import { DESCRIPTION_HEADERS } from "./request-form.ts";

/** A call of a proxy, as it was received. */
export interface ReceivedCall {
  readonly method: string;
  /** Undefined if the URL is none of this listener's. */
  readonly target: CallTarget | undefined;
  /** Names and values in turn, one character for each byte. */
  readonly rawHeaders: readonly string[];
  /** The TCP peer: the proxy. */
  readonly peerAddress: string;
}

/**
 * Reads the client's request from a proxy's call. A header that describes the request must occur exactly once: a second one is the
 * client's own, and a proxy that omits one would let the client choose it. Throws a RangeError otherwise.
 * @param trustedHops position of the client's address, counted from the right; 0 means the proxy's own address
 */
export function readCall(call: ReceivedCall, trustedHops: number): ReceivedCheck {
  const { target } = call;
  if (target === undefined) throw new RangeError("the path is none of /envoy/…, /forward and /original");
  const described = DESCRIPTION_HEADERS[target.form];
  const all = headersOf(call);
  const request =
    target.path === undefined ? describedRequest(all, described) : ownRequest(call, all, target.path);
  const peerAddress = trustedHops === 0 ? call.peerAddress : addressOf(all, described.address, trustedHops);
  const scheme = schemeOf(one(all, described.proto), described.proto);
  return {
    peerAddress,
    certificate: "",
    extensions: new Map(),
    http: { ...request, scheme, headers: requestHeaders(all, target, described) },
  };
}

type Line = readonly [name: string, value: string];

function headersOf({ rawHeaders }: ReceivedCall): readonly Line[] {
  const lines: Line[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    lines.push([asciiLowerCase(rawHeaders[at] ?? ""), rawHeaders[at + 1] ?? ""]);
  return lines;
}

interface RequestLine {
  readonly method: string;
  readonly host: string;
  readonly path: string;
}

function ownRequest({ method }: ReceivedCall, lines: readonly Line[], path: string): RequestLine {
  return { method, host: one(lines, "host"), path };
}

function describedRequest(lines: readonly Line[], { request }: DescriptionHeaders): RequestLine {
  if (request === undefined) throw new RangeError("the call does not describe a request");
  const method = one(lines, request.method);
  if (!METHOD.test(method)) throw new RangeError(`${request.method} is not a method`);
  return { method, host: one(lines, request.host), path: one(lines, request.uri) };
}

/** RFC 9110 §9.1. A list of methods contains a comma or a space. */
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function one(lines: readonly Line[], name: string): string {
  const values = lines.filter(([found]) => found === name).map(([, value]) => trimOws(value));
  const [value = ""] = values;
  if (values.length > 1) throw new RangeError(`${name} occurs ${values.length} times`);
  if (value === "") throw new RangeError(`${name} is missing`);
  return value;
}

/** Some proxies name the scheme of a WebSocket. */
const SCHEMES: ReadonlyMap<string, string> = new Map([
  ["http", "http"],
  ["https", "https"],
  ["ws", "http"],
  ["wss", "https"],
]);

function schemeOf(text: string, name: string): string {
  const scheme = SCHEMES.get(text);
  if (scheme === undefined) throw new RangeError(`${name} is neither http nor https`);
  return scheme;
}

/** Empty if the list has too few entries: then the address is unknown. It is not the proxy's. */
function addressOf(lines: readonly Line[], name: string, trustedHops: number): string {
  const values = lines.filter(([found]) => found === name).map(([, value]) => value);
  if (values.length === 0) throw new RangeError(`${name} is missing`);
  return clientAddress("", values, trustedHops);
}

/** The headers of the client's request: all but those in which the proxy describes it. */
function requestHeaders(
  lines: readonly Line[],
  { form }: CallTarget,
  { request, proto, address }: DescriptionHeaders,
): ReceivedHeaders {
  const headers = createReceivedHeaders();
  // Envoy joins the lines of one name and sends UTF-8. Other proxies pass lines and bytes on.
  headers.joined = form === "envoy";
  const excluded = new Set([proto, address, ...Object.values(request ?? {})]);
  // Only Envoy turns a denial into a grpc-status, by the content type.
  if (form !== "envoy") excluded.add("content-type");
  for (const [name, value] of lines)
    if (!excluded.has(name)) headers.add(name, headers.joined ? asUtf8(value) : value);
  return headers;
}

function asUtf8(value: string): string {
  return /[\x80-\xff]/.test(value) ? Buffer.from(value, "latin1").toString("utf8") : value;
}
