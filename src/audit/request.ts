import type { CheckFacts } from "../core/audit/ports.ts";
import type { Decision } from "../core/decision/decision.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import { headerLines, isPreflight } from "../core/decision/request.ts";

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
  const path = request?.path.path ?? unread?.rawPath ?? "";
  const told = sanitizeClientText(path, 2048);
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
    method: seen && sanitizeClientText(seen.method, 64),
    host: seen && sanitizeClientText(seen.host, 256),
    scheme: seen?.scheme,
    path: request && told,
    raw_path: unread && told,
    cut: (told ?? "") === path ? undefined : true,
    extensions: request && narrowing(request),
    preflight: request && isPreflight(request) ? true : undefined,
    address: seen && sanitizeClientText(clientAddress(seen), 64),
    request_id: seen && sanitizeClientText(headerLines(seen, "x-request-id")[0] ?? "", 128),
  };
}

/** What Envoy's configuration asked for beside the policy. */
function narrowing({ extensions }: AuthRequest) {
  const { scopes, cost } = { scopes: extensions.get("scopes"), cost: extensions.get("cost") };
  return scopes === undefined && cost === undefined ? undefined : { scopes, cost };
}

const KEY = /eyJ[\w-]+\.[\w-]+\.[\w-]+|lk1_[A-Za-z0-9]{38}/g;

/** What a client chose: it cannot fill the log, and a key that it put where none belongs is none any more. */
function sanitizeClientText(text: string, maxLength: number): string | undefined {
  return text === "" ? undefined : text.slice(0, maxLength).replace(KEY, "[a key]");
}
