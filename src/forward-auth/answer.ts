import type { CheckResponse, HeaderOption, OkHttpResponse } from "../ext-authz/messages.ts";
import type { CallTarget } from "./request-form.ts";

/** The HTTP response to a call. */
export interface Answer {
  readonly status: number;
  /** One line each. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** Names the headers that Envoy's HTTP service removes from the request. */
const REMOVE = "x-envoy-auth-headers-to-remove";

/**
 * The HTTP form of a CheckResponse. An allow is a 200 with the headers for upstream and for the client. A denial has the status,
 * headers and body that the client should get.
 */
export function toAnswer(response: CheckResponse, target: CallTarget | undefined): Answer {
  if ("ok_response" in response)
    return { status: 200, headers: allowHeaders(response.ok_response, target), body: "" };
  const { status, headers = [], body = "" } = response.denied_response;
  const lines = headers.map(toLine);
  if (target?.deny403 !== true) return { status: status.code, headers: lines, body };
  return {
    status: status.code === 401 ? 401 : 403,
    // The proxy discards the body. It has the status and the problem document from these headers.
    headers: [...lines, ["x-latchkey-status", String(status.code)], ["x-latchkey-problem", body]],
    body,
  };
}

function allowHeaders(ok: OkHttpResponse, target: CallTarget | undefined): Answer["headers"] {
  const isEnvoy = target?.form === "envoy";
  const removed = [...new Set(ok.headers_to_remove ?? [])];
  const lines = [...(ok.headers ?? []), ...(ok.response_headers_to_add ?? [])]
    .map(toLine)
    // Only Envoy replaces the Cookie header. Cache-Control is that of this response: no cache may store a decision.
    .filter(([name]) => name !== "cache-control" && (isEnvoy || name !== "cookie"));
  return [
    ["cache-control", "no-store"],
    ...lines,
    ...(isEnvoy && removed.length > 0 ? [[REMOVE, removed.join(",")] as const] : []),
  ];
}

/** HTTP header values are bytes, which Node writes from one character each. */
function toLine({ header: { key, value } }: HeaderOption): readonly [string, string] {
  return [key, Buffer.from(value, "utf8").toString("latin1")];
}
