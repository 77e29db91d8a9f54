import type { CheckFacts } from "../core/audit/ports.ts";
import type { Decision } from "../core/decision/decision.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import { headerLines, isPreflight } from "../core/decision/request.ts";

/** The client's address, as far as the trusted hops report it. */
export type ClientAddress = (request: Pick<AuthRequest, "headers" | "peerAddress">) => string;

/** The fields of a request that a replay under another policy needs. Never a key, and never the query. */
export function requestFields(
  decision: Decision,
  { decisionId, mode, request, unread }: CheckFacts,
  clientAddress: ClientAddress,
) {
  const { principal, route } = decision;
  const seen = request ?? unread;
  const path = request?.path.path ?? unread?.rawPath ?? "";
  const loggedPath = sanitizeClientText(path, 2048);
  return {
    decision_id: decisionId,
    verdict: decision.verdict,
    reason: decision.reason,
    quota: decision.verdict === "deny" ? decision.quota?.name : undefined,
    mode,
    route: route?.label,
    cost: route?.cost,
    key_id: principal?.keyId,
    family: principal?.family,
    owner: principal?.owner,
    role: principal?.role,
    // Null differs from the absent member of an older line, so that a replay knows that the key had no plan.
    plan: principal && (principal.plan ?? null),
    override_plan: decision.overridePlan,
    scopes: principal?.scopes,
    method: seen && sanitizeClientText(seen.method, 64),
    host: seen && sanitizeClientText(seen.host, 256),
    scheme: seen?.scheme,
    path: request && loggedPath,
    raw_path: unread && loggedPath,
    cut: (loggedPath ?? "") === path ? undefined : true,
    extensions: request && narrowing(request),
    preflight: request && isPreflight(request) ? true : undefined,
    address: seen && sanitizeClientText(clientAddress(seen), 64),
    request_id: seen && sanitizeClientText(headerLines(seen, "x-request-id")[0] ?? "", 128),
  };
}

/** The context extensions of Envoy's configuration. */
function narrowing({ extensions }: AuthRequest) {
  const { scopes, cost } = { scopes: extensions.get("scopes"), cost: extensions.get("cost") };
  return scopes === undefined && cost === undefined ? undefined : { scopes, cost };
}

const KEY = /eyJ[\w-]+\.[\w-]+\.[\w-]+|lk1_[A-Za-z0-9]{38}/g;

/** Bounds a text that a client chose, and masks keys in it. */
function sanitizeClientText(text: string, maxLength: number): string | undefined {
  return text === "" ? undefined : text.slice(0, maxLength).replace(KEY, "[a key]");
}
