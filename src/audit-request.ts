import { isPreflight } from "./core/authorize.ts";
import type { Decision } from "./core/decision.ts";
import type { AuthRequest } from "./core/request.ts";
import { headerLines } from "./core/request.ts";
import type { CheckFacts } from "./envoy/check.ts";

/** As far as trusted hops tell. */
export type ClientAddress = (request: Pick<AuthRequest, "headers" | "peerAddress">) => string;

/** Enough to decide the request anew under another policy; never a key, and no query. */
export function requestFields(
  decision: Decision,
  { decisionId, mode, request, unread }: CheckFacts,
  clientAddress: ClientAddress,
) {
  const { principal, route } = decision;
  const seen = request ?? unread;
  return {
    decision_id: decisionId,
    verdict: decision.verdict,
    reason: decision.reason,
    mode,
    route: route?.label,
    cost: route?.cost,
    key_id: principal?.keyId,
    family: principal?.family,
    owner: principal?.owner,
    role: principal?.role,
    scopes: principal?.scopes,
    ...(request && pathFields("path", request.path.path)),
    ...(unread && pathFields("raw_path", unread.rawPath)),
    ...(request && { extensions: narrowing(request), preflight: isPreflight(request) || undefined }),
    ...(seen && {
      method: clientsWord(seen.method, 64),
      host: clientsWord(seen.host, 256),
      scheme: seen.scheme,
      address: clientsWord(clientAddress(seen), 64),
      request_id: clientsWord(headerLines(seen, "x-request-id")[0] ?? "", 128) || undefined,
    }),
  };
}

const KEY = /eyJ[\w-]+\.[\w-]+\.[\w-]+|lk1_[A-Za-z0-9]{38}/g;

function pathFields(name: "path" | "raw_path", path: string) {
  const told = clientsWord(path, 2048);
  return { [name]: told, ...(told !== path && { cut: true }) };
}

/** What Envoy's configuration asked for beside the policy. */
function narrowing({ extensions }: AuthRequest) {
  const { scopes, cost } = { scopes: extensions.get("scopes"), cost: extensions.get("cost") };
  return scopes === undefined && cost === undefined ? undefined : { scopes, cost };
}

/** What a client chose: it cannot fill the log, and a key that it put where none belongs is none any more. */
function clientsWord(text: string, maxLength: number): string {
  return text.slice(0, maxLength).replace(KEY, "[a key]");
}
