import type { Allow } from "../../src/core/decision/decision.ts";
import type { CheckResponse, HeaderOption } from "../../src/ext-authz/messages.ts";
import { toCheckResponse } from "../../src/ext-authz/plain-response.ts";
import { createReceivedHeaders } from "../../src/ext-authz/request-headers.ts";
import type { ResponseContext } from "../../src/ext-authz/response-context.ts";
import { PLAIN_ROUTE } from "./route.ts";

const ROUTE = { ...PLAIN_ROUTE, label: "chat", pattern: "/a" };

export const PRINCIPAL = {
  keyId: "basic_1_x",
  family: "fam_x",
  role: "basic",
  scopes: ["a", "b"],
  name: "x",
  issuedAt: 1,
  expiresAt: 2,
  refreshAfter: 1,
};

/** An allow with a key. */
export const ALLOWED: Allow = {
  verdict: "allow",
  reason: "allowed",
  route: ROUTE,
  principal: PRINCIPAL,
  scopes: ["a"],
  rates: [],
  refreshDue: false,
};

/** An allow on a public route. */
export const PUBLIC_ALLOW: Allow = {
  verdict: "allow",
  reason: "allowed",
  route: { ...ROUTE, public: true },
  scopes: [],
  rates: [],
  refreshDue: false,
};

/** The context of a response to a request with these headers and this query. */
export function contextWith(
  more: Partial<ResponseContext> = {},
  headers: Readonly<Record<string, string>> = {},
  query = "",
): ResponseContext {
  const received = createReceivedHeaders();
  for (const [name, value] of Object.entries(headers)) received.add(name, value);
  return {
    decisionId: "d",
    forwardPrefix: "x-latchkey-",
    legacyRateLimit: false,
    credentialSources: ["authorization", "x-api-key"],
    request: {
      method: "GET",
      host: "x",
      scheme: "https",
      path: { path: "/a", segments: ["a"], query },
      headers: received,
      peerAddress: "127.0.0.1",
      certificate: () => undefined,
      extensions: new Map(),
      grpc: false,
    },
    grpc: false,
    ...more,
  };
}

export function valuesOf(headers: readonly HeaderOption[] | undefined): Record<string, string> {
  return Object.fromEntries((headers ?? []).map(({ header }) => [header.key, header.value]));
}

/** What the response to an allow sets, removes and adds. */
export function allowed(decision: Allow, context = contextWith()) {
  const { ok_response: ok } = asAllow(toCheckResponse(decision, context));
  return {
    set: valuesOf(ok.headers),
    removed: ok.headers_to_remove ?? [],
    added: valuesOf(ok.response_headers_to_add),
    parameters: ok.query_parameters_to_remove ?? [],
  };
}

export function asAllow(response: CheckResponse) {
  if (!("ok_response" in response)) throw new Error("denied");
  return response;
}

export function asDenial(response: CheckResponse) {
  if (!("denied_response" in response)) throw new Error("allowed");
  return response;
}
