import type { CompletedCall } from "../core/audit/ports.ts";

/** Statuses of denials: not authenticated, not permitted, already done, gone, or rate limited. */
const DENIED_STATUSES = new Set([401, 403, 409, 410, 429]);
const OPERATORS = ["/api/admin/", "/api/console/"] as const;

/** Whether a call is audited: denials, sign-ins, and every call of an operator that is not a read. */
export function isAccountable(call: CompletedCall): boolean {
  const { method, route = "", status } = call;
  if (isRejectedSignIn(call)) return true;
  if (DENIED_STATUSES.has(status)) return true;
  const looking = method === "GET" || method === "HEAD" || isRenewal(method, route);
  return !looking && OPERATORS.some((prefix) => route.startsWith(prefix));
}

/** A console sends it every minute while its person is active. */
function isRenewal(method: string, route: string): boolean {
  return method === "PUT" && route === "/api/console/session";
}

/** A callback of the OpenID Connect provider that signs no one in leads back to the page, which says why. */
function isRejectedSignIn({ status, problem }: CompletedCall): boolean {
  return status === 303 && problem !== undefined;
}

/** The audit fields of a call. They never include its path, query or body. */
export function accessFields(call: CompletedCall) {
  const { method, route, status, problem, actor, keyId, address, requestId } = call;
  return {
    method,
    route,
    status,
    outcome: status < 400 && !isRejectedSignIn(call) ? "done" : "refused",
    reason: problem,
    actor,
    key_id: keyId,
    address: address.slice(0, 64),
    request_id: requestId,
  };
}
