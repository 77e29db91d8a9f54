import type { CompletedCall } from "../core/audit/ports.ts";

/** Statuses of denials: not authenticated, not permitted, already done, gone, or rate limited. */
const DENIED_STATUSES = new Set([401, 403, 409, 410, 429]);
const OPERATORS = ["/api/admin/", "/api/console/"] as const;

/** Whether a call is audited: denials, sign-ins, and every call of an operator that is not a read. */
export function isAccountable({ method, route = "", status }: CompletedCall): boolean {
  if (DENIED_STATUSES.has(status)) return true;
  const looking = method === "GET" || method === "HEAD" || isRenewal(method, route);
  return !looking && OPERATORS.some((prefix) => route.startsWith(prefix));
}

/** A console sends it every minute while its person is active. */
function isRenewal(method: string, route: string): boolean {
  return method === "PUT" && route === "/api/console/session";
}

/** The audit fields of a call. They never include its path, query or body. */
export function accessFields(call: CompletedCall) {
  const { method, route, status, problem, actor, keyId, address, requestId } = call;
  return {
    method,
    route,
    status,
    outcome: status < 400 ? "done" : "refused",
    reason: problem,
    actor,
    key_id: keyId,
    address: address.slice(0, 64),
    request_id: requestId,
  };
}
